/**
 * Runs in the guest: governs the real cpufreq driver with every method that it offers, through a foreign write and an
 * unplugged CPU, gives everything back, and writes what was applied and what every control showed before and after to /vm.
 */
import { openSync, constants, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createCpufreqActuator } from '../../../src/actuator/cpufreq-actuator.ts';
import { discoverDomains } from '../../../src/actuator/discover-machine.ts';
import {
  describeMethods,
  FREQUENCY_METHODS,
  offers,
  type FrequencyMethod,
} from '../../../src/actuator/frequency-method.ts';
import type { Applied, RestoredControl } from '../../../src/core/actuator.ts';
import { kiloHertz } from '../../../src/core/units.ts';
import { realTree } from '../../../src/sysfs/real-tree.ts';
import { FREQUENCY_PORT, STEP_MARK } from '../acpi-tables.ts';

export interface DriveJob {
  /** Each is asked of every domain, one after the other. */
  readonly levelsKhz: readonly number[];
  readonly boost: 'leave' | 'off';
}

export interface DriveReport {
  readonly method: FrequencyMethod;
  readonly before: Readonly<Record<string, string>>;
  /** One a level, then the foreign write, the CPU unplugged, the CPU back. */
  readonly applied: readonly Applied[];
  readonly restored: readonly RestoredControl[];
  readonly after: Readonly<Record<string, string>>;
  readonly log: readonly string[];
}

const CPU = 'devices/system/cpu';
const CONTROLS = ['scaling_governor', 'scaling_min_freq', 'scaling_max_freq', 'cpuinfo_max_freq'];

const job = JSON.parse(readFileSync('/vm/job.json', 'utf8')) as DriveJob;
const ports = openSync('/dev/port', constants.O_WRONLY);
const tree = realTree();
const names = tree.list(`${CPU}/cpufreq`);
const policies = names.ok ? names.value.filter((name) => name.startsWith('policy')) : [];
const online = tree.read(`${CPU}/online`);
const cpuCount = online.ok ? Number(online.value.split('-').at(-1)) + 1 : 0;

function snapshot(): Record<string, string> {
  const files = policies.flatMap((policy) => CONTROLS.map((file) => `${CPU}/cpufreq/${policy}/${file}`));
  return Object.fromEntries(
    [...files, `${CPU}/cpufreq/boost`].map((path) => {
      const result = tree.read(path);
      return [path, result.ok ? result.value : result.errno];
    }),
  );
}

/** The kernel's workers have applied what was written; the host's logs get the end of a line. */
function settle(): void {
  writeFileSync('/proc/sys/vm/stat_refresh', '1');
  for (let cpu = 0; cpu < cpuCount; cpu++) writeSync(ports, Buffer.of(STEP_MARK), 0, 1, FREQUENCY_PORT + cpu);
}

function write(path: string, text: string): void {
  const result = tree.write(path, text);
  if (!result.ok) throw new Error(`write ${text} to ${path}: ${result.errno}`);
  settle();
}

function drive(method: FrequencyMethod): DriveReport {
  const before = snapshot();
  const log: string[] = [];
  const actuator = createCpufreqActuator({
    // Each step is to show what became of the controls before it, and takes no second.
    lookRoundMs: 0,
    tree,
    journalPath: '/run/tailgov-test/journal',
    method,
    boost: job.boost,
    listProcesses: () => ['tuned'],
    log: (level, message) => log.push(`${level}: ${message}`),
  });
  const applied: Applied[] = [];
  const all = actuator.machine.domains.map(({ id }) => id);
  const apply = (khz: number) => {
    const point = { frequencyKhz: Object.fromEntries(all.map((id) => [id, kiloHertz(khz)])), cpus: {} };
    applied.push(actuator.apply(point));
    settle();
  };
  actuator.engage();
  settle();
  for (const khz of job.levelsKhz) apply(khz);
  const last = job.levelsKhz.at(-1)!;
  // The kernel may have answered our last write late: what somebody else writes is known from an answer that has been seen.
  apply(last);
  applied.pop();
  write(
    `${CPU}/cpufreq/policy0/${method === 'setspeed' ? 'scaling_governor' : 'scaling_max_freq'}`,
    method === 'setspeed' ? 'powersave' : '1200000',
  );
  apply(last);
  write(`${CPU}/cpu${cpuCount - 1}/online`, '0');
  apply(last);
  write(`${CPU}/cpu${cpuCount - 1}/online`, '1');
  apply(last);
  const restored = actuator.release('original');
  settle();
  return { method, before, applied, restored, after: snapshot(), log };
}

settle();
// Originals of the kinds that are easily lost.
write(`${CPU}/cpufreq/policy0/scaling_governor`, 'userspace');
write(`${CPU}/cpufreq/policy0/scaling_setspeed`, '1600000');
const second = policies[1]!;
write(`${CPU}/cpufreq/${second}/scaling_max_freq`, '2800000');
write(`${CPU}/cpufreq/${second}/scaling_min_freq`, '1600000');

const described = describeMethods(tree);
const offered = discoverDomains(tree).flatMap((domain) => domain.policies);
const reports = FREQUENCY_METHODS.filter((method) => offered.every((policy) => offers(method, policy))).map(drive);
tree.close();
writeFileSync('/vm/report.json', JSON.stringify({ described, reports }));
