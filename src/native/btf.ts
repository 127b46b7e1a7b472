import { libbpf } from './libbpf-functions.ts';
import { copyFrom } from './libc.ts';

/** BTF kinds, by their number in <linux/btf.h>. */
export const BTF_KIND = { typedef: 8, func: 12, datasec: 15 } as const;

/** Where a global variable lies in its section, in bytes. */
export interface VariableLocation {
  readonly offset: number;
  readonly size: number;
}

/** Sizes of struct btf_type and struct btf_var_secinfo. */
const TYPE_BYTES = 12;
const VARIABLE_BYTES = 12;

/**
 * The variables of a data section such as `.bss`, by name; none when the BTF has no such section.
 * @param btf a struct btf *
 */
export function sectionVariables(btf: bigint, section: string): ReadonlyMap<string, VariableLocation> {
  const variables = new Map<string, VariableLocation>();
  const sectionId = libbpf().btf__find_by_name_kind(btf, section, BTF_KIND.datasec);
  const address = sectionId < 0 ? null : libbpf().btf__type_by_id(btf, sectionId);
  if (address === null) return variables;
  const { variableCount } = readType(address);
  const entries = words(address + BigInt(TYPE_BYTES), variableCount * VARIABLE_BYTES);
  for (let index = 0; index < variableCount; index++) {
    const [typeId, offset, size] = entries.subarray(index * 3, index * 3 + 3);
    const variable = libbpf().btf__type_by_id(btf, typeId!);
    if (variable === null) continue;
    const name = libbpf().btf__name_by_offset(btf, readType(variable).nameOffset);
    if (name !== null) variables.set(name, { offset: offset!, size: size! });
  }
  return variables;
}

/** struct btf_type: name_off; info, whose low 16 bits count the entries that follow; size or type. */
function readType(address: bigint): { nameOffset: number; variableCount: number } {
  const [nameOffset, info] = words(address, TYPE_BYTES);
  return { nameOffset: nameOffset!, variableCount: info! & 0xffff };
}

const words = (address: bigint, bytes: number): Uint32Array => new Uint32Array(copyFrom(address, bytes).buffer);
