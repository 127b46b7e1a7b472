import type { SysfsFailure, SysfsResult, SysfsTree } from '../core/sysfs-tree.ts';

const POWERCAP_DIRECTORY = 'class/powercap';
/** In the order of preference: the same packages may be there twice, through their registers and through memory. */
const ZONE_KINDS: readonly RegExp[] = [/^intel-rapl:\d+$/, /^intel-rapl-mmio:\d+$/];
const PACKAGE = /^package-\d+(?:-die-\d+)?$/;

/** The energy counter of one CPU package. */
export interface EnergyZone {
  /** `package-0` */
  readonly name: string;
  /** Its directory, relative to the root. */
  readonly path: string;
  /** The counter begins anew after this value, in µJ. */
  readonly rangeUj: number;
}

export type EnergyProbe =
  | { readonly kind: 'found'; readonly zones: readonly EnergyZone[] }
  /** There are counters, of which one cannot be read: the sum of the others would be too low. */
  | { readonly kind: 'refused'; readonly failure: SysfsFailure }
  | { readonly kind: 'none' };

/**
 * The RAPL counters of all packages, see Documentation/power/powercap/powercap.rst. AMD's are there under Intel's name.
 * Subzones (core, uncore, dram) are not looked at, since the first two are in their package's count and memory is no part of
 * it; nor is `psys`, which counts the packages once more.
 */
export function findPackageEnergy(tree: SysfsTree): EnergyProbe {
  const listed = tree.list(POWERCAP_DIRECTORY);
  const names = listed.ok ? listed.value : [];
  for (const kind of ZONE_KINDS) {
    const zones: EnergyZone[] = [];
    for (const path of names.filter((name) => kind.test(name)).map((name) => `${POWERCAP_DIRECTORY}/${name}`)) {
      const name = tree.read(`${path}/name`);
      if (!name.ok || !PACKAGE.test(name.value)) continue;
      const range = readUj(tree, `${path}/max_energy_range_uj`);
      const counter = readUj(tree, `${path}/energy_uj`);
      if (!range.ok) return { kind: 'refused', failure: range };
      if (!counter.ok) return { kind: 'refused', failure: counter };
      zones.push({ name: name.value, path, rangeUj: range.value });
    }
    if (zones.length > 0) return { kind: 'found', zones };
  }
  return { kind: 'none' };
}

/** What the counters read, in µJ, in the order of the zones; null where one of them does not answer. */
export function readPackageEnergyUj(tree: SysfsTree, zones: readonly EnergyZone[]): readonly number[] | null {
  const counters = zones.map(({ path }) => readUj(tree, `${path}/energy_uj`));
  return counters.every((counter) => counter.ok) ? counters.map(({ value }) => value) : null;
}

function readUj(tree: SysfsTree, path: string): SysfsResult<number> {
  const result = tree.read(path);
  if (!result.ok) return result;
  return /^\d+$/.test(result.value.trim())
    ? { ok: true, value: Number(result.value) }
    : { ok: false, operation: 'read', path, errno: 'EINVAL' };
}
