import { cpuId, type CpuId } from './units.ts';

/** Above any machine's; keeps a damaged file such as `0-4000000000` from filling the memory. */
const MAX_CPU = 65_535;

/**
 * The kernel's two ways to write a set of CPUs: `0-3,8` (a list) and `0 1 2 3 8` (affected_cpus).
 * @returns ascending and without repetition, or undefined where the text is no such set. An empty text is an empty set.
 */
export function parseCpuList(text: string): readonly CpuId[] | undefined {
  const cpus = new Set<number>();
  for (const part of text.split(/[\s,]+/).filter((word) => word !== '')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last > MAX_CPU) return undefined;
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b).map(cpuId);
}

/** `[0, 1, 2, 8]` → `0-2,8` */
export function formatCpuList(cpus: readonly number[]): string {
  const ranges: { first: number; last: number }[] = [];
  for (const cpu of [...cpus].sort((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range !== undefined && cpu === range.last + 1) range.last = cpu;
    else ranges.push({ first: cpu, last: cpu });
  }
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}
