/**
 * A process that governs a mock on disk until it is told to go: `governed-process.ts SYSFS RUNTIME`. Says the guardian's
 * number when everything is taken. A line on its input: gives the controls back and dismisses the guardian.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCpufreqActuator } from '../../src/actuator/cpufreq-actuator.ts';
import { startGuardian } from '../../src/actuator/guardian.ts';
import { kiloHertz } from '../../src/core/units.ts';
import { realTree } from '../../src/sysfs/real-tree.ts';

const [sysfs = '', runtime = ''] = process.argv.slice(2);
const cli = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const guardian = startGuardian({
  command: [process.execPath, '--import', 'tsx', cli, 'restore', '--runtime', runtime],
});
const actuator = createCpufreqActuator({ tree: realTree(sysfs), journalPath: join(runtime, 'journal'), method: 'cap' });
actuator.engage();
const lowest = actuator.machine.domains.map(({ id, minKhz }) => [id, kiloHertz(minKhz)] as const);
actuator.apply({ frequencyKhz: Object.fromEntries(lowest), cpus: {} });
process.stdout.write(`${guardian.pid}\n`);
process.stdin.once('data', () => {
  actuator.release('original');
  guardian.dismiss();
  process.stdin.destroy();
});
