import type { Baseline } from './baseline.ts';
import { NS_PER_S } from '../../core/units.ts';

/** The kernel's powersave governor: the lowest frequency, always. */
export const powersave: Baseline = {
  name: 'powersave',
  summary: 'The lowest frequency, always',
  source: "Linux' governor of that name: drivers/cpufreq/cpufreq_powersave.c",
  intervalNs: () => NS_PER_S,
  start:
    ({ lowestKhz }) =>
    () =>
    () =>
      lowestKhz,
};
