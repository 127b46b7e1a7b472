import type { SysfsTree } from '../core/sysfs-tree.ts';
import { GLOBAL_BOOST, NO_TURBO } from '../sysfs/cpufreq-paths.ts';

/** `leave`: not ours. */
export type BoostChoice = 'leave' | 'on' | 'off';

/** The machine's one switch of frequencies above the nominal one. */
export interface BoostSwitch {
  readonly path: string;
  /** What stands there now. */
  readonly shown: string;
  /** What to write for a choice. */
  textOf(choice: 'on' | 'off'): string;
}

/** intel_pstate has `no_turbo` in place of the general `boost` (intel_pstate.rst); null where there is neither. */
export function findBoostSwitch(tree: SysfsTree): BoostSwitch | null {
  for (const [path, off] of [
    [NO_TURBO, '1'],
    [GLOBAL_BOOST, '0'],
  ] as const) {
    const result = tree.read(path);
    if (!result.ok) continue;
    const on = off === '1' ? '0' : '1';
    return { path, shown: result.value, textOf: (choice) => (choice === 'on' ? on : off) };
  }
  return null;
}
