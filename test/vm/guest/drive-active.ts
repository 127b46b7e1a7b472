/** Runs in the guest: the actuator on active amd-pstate, by each method that it offers, with all that disturbs it. */
import { constants, openSync, readSync, writeFileSync } from 'node:fs';
import { createCpufreqActuator } from '../../../src/actuator/cpufreq-actuator.ts';
import { describeMethods, type FrequencyMethod } from '../../../src/actuator/frequency-method.ts';
import type { Applied, RestoredControl } from '../../../src/core/actuator.ts';
import { createFrequencyPlanner } from '../../../src/planner/frequency-planner.ts';
import { realTree } from '../../../src/sysfs/real-tree.ts';
import { PREFERENCE_REGISTER } from '../acpi-tables.ts';

/** What the machine is at. */
export interface Seen {
  readonly controls: Readonly<Record<string, string>>;
  /** What the driver has written into the register of each CPU's preference. */
  readonly registers: readonly number[];
}

export interface ActiveReport {
  readonly method: FrequencyMethod;
  readonly before: Seen;
  /** One a level, then the foreign write, the CPU unplugged, the CPU back. */
  readonly steps: readonly (Seen & { readonly applied: Applied })[];
  readonly restored: readonly RestoredControl[];
  readonly after: Seen;
}

const CPU = 'devices/system/cpu';
const FILES = ['scaling_governor', 'scaling_min_freq', 'scaling_max_freq', 'energy_performance_preference'];
export const LEVELS = [0, 0.5, 0.7, 1, 0.5];
const METHODS: readonly FrequencyMethod[] = ['cap', 'pin', 'epp'];

const tree = realTree();
const registers = [0, 1].map((cpu) => openSync(`/dev/cpu/${cpu}/msr`, constants.O_RDONLY));

/** The kernel's workers have applied what was written. */
const settle = () => writeFileSync('/proc/sys/vm/stat_refresh', '1');

function see(): Seen {
  settle();
  const paths = ['policy0', 'policy1'].flatMap((policy) => FILES.map((file) => `${policy}/${file}`));
  return {
    controls: Object.fromEntries(
      paths.map((path) => {
        const result = tree.read(`${CPU}/cpufreq/${path}`);
        return [path, result.ok ? result.value : result.errno];
      }),
    ),
    registers: registers.map((descriptor) => {
      const value = Buffer.alloc(8);
      try {
        readSync(descriptor, value, 0, 8, PREFERENCE_REGISTER.address);
      } catch {
        // Its CPU is offline.
        return -1;
      }
      return value[PREFERENCE_REGISTER.firstBit / 8]!;
    }),
  };
}

function write(path: string, text: string): void {
  const result = tree.write(`${CPU}/${path}`, text);
  if (!result.ok) throw new Error(`write ${text} to ${path}: ${result.errno}`);
  settle();
}

function drive(method: FrequencyMethod): ActiveReport {
  operate();
  const before = see();
  // Each step is to show what became of the controls before it, and takes no second.
  const lookRoundMs = 0;
  const actuator = createCpufreqActuator({ tree, journalPath: '/run/tailgov-test/journal', method, lookRoundMs });
  actuator.engage();
  const steps: (Seen & { applied: Applied })[] = [];
  const apply = (level: number) => {
    const planner = createFrequencyPlanner(actuator.machine, {});
    const applied = actuator.apply(planner.plan([{ service: 'web', level }]).point);
    steps.push({ applied, ...see() });
  };
  for (const level of LEVELS) apply(level);
  const last = LEVELS.at(-1)!;
  // The kernel may have answered our last write late: what somebody else writes is known from an answer that has been seen.
  apply(last);
  steps.pop();
  write(
    `cpufreq/policy0/${method === 'epp' ? 'scaling_governor' : 'scaling_max_freq'}`,
    method === 'epp' ? 'performance' : '1200000',
  );
  apply(last);
  write('cpu1/online', '0');
  apply(last);
  write('cpu1/online', '1');
  // The machine is planned for as it was before; that a CPU has come is noticed then.
  apply(last);
  steps.pop();
  apply(last);
  const restored = actuator.release('original');
  return { method, before, steps, restored, after: see() };
}

/** An operator's choice, which differs from policy to policy. */
function operate(): void {
  for (const [policy, preference] of [
    ['policy0', 'balance_power'],
    ['policy1', 'power'],
  ] as const) {
    write(`cpufreq/${policy}/scaling_governor`, 'powersave');
    // What the driver believes to have already it does not write.
    for (const name of ['performance', preference]) write(`cpufreq/${policy}/energy_performance_preference`, name);
  }
  write('cpufreq/policy1/scaling_max_freq', '2800000');
  write('cpufreq/policy1/scaling_min_freq', '1600000');
}

operate();
const described = describeMethods(tree);
const reports = METHODS.map(drive);
tree.close();
writeFileSync('/vm/report.json', JSON.stringify({ described, reports }));
