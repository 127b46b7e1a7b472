import type { SysfsTree } from '../core/sysfs-tree.ts';
import { CPU_DIRECTORY, CPUFREQ_DIRECTORY, policyDirectory } from './cpufreq-paths.ts';
import { findPackageEnergy, readPackageEnergyUj } from './package-energy.ts';

const STEP_MS = 100;
/** Invented: a mock has to draw more when it runs faster, and no more is claimed. */
const STATIC_WATTS = 10;
const WATTS_PER_SQUARE_GHZ = 1;

/** Lets the energy counters of a mock's packages count in real time. Does not keep the process alive. */
export function playEnergy(tree: SysfsTree, show: (path: string, text: string) => void): { close(): void } {
  const probe = findPackageEnergy(tree);
  if (probe.kind !== 'found') return { close: () => undefined };
  const { zones } = probe;
  let beforeMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const counted = readPackageEnergyUj(tree, zones);
    // The directory has been removed under us.
    if (counted === null) return clearInterval(timer);
    for (const [index, { name, path, rangeUj }] of zones.entries()) {
      const spentUj = playedWatts(tree, Number(/\d+/.exec(name))) * (nowMs - beforeMs) * 1000;
      show(`${path}/energy_uj`, String(Math.round(counted[index]! + spentUj) % rangeUj));
    }
    beforeMs = nowMs;
  }, STEP_MS).unref();
  return { close: () => clearInterval(timer) };
}

function playedWatts(tree: SysfsTree, packageId: number): number {
  const number = (path: string) => {
    const result = tree.read(path);
    return result.ok ? Number.parseInt(result.value, 10) : NaN;
  };
  const listed = tree.list(CPUFREQ_DIRECTORY);
  return (listed.ok ? listed.value : [])
    .filter((name) => /^policy\d+$/.test(name))
    .filter((name) => number(`${CPU_DIRECTORY}/cpu${name.slice(6)}/topology/physical_package_id`) === packageId)
    .map((name) => number(`${policyDirectory(name)}/scaling_cur_freq`) / 1e6)
    .reduce((watts, ghz) => watts + WATTS_PER_SQUARE_GHZ * ghz ** 2, STATIC_WATTS);
}
