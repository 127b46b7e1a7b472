/**
 * What one application of an operating point costs on 128 CPUs with a frequency policy each (`sysfs-mocks/intel-pstate-2s-128c`,
 * on disk in /dev/shm, where an access is one system call as in /sys): with nothing to change, and with every policy to
 * write. `npx tsx bench/actuator.ts [--rounds 2000] [--method cap]`
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createCpufreqActuator } from '../src/actuator/cpufreq-actuator.ts';
import type { FrequencyMethod } from '../src/actuator/frequency-method.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import type { OperatingPoint } from '../src/core/machine.ts';
import { kiloHertz } from '../src/core/units.ts';
import { findMock, writeMock } from '../src/sysfs/mock-file.ts';
import { realTree } from '../src/sysfs/real-tree.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '2000' },
    method: { type: 'string', default: 'cap' },
    machine: { type: 'string', default: 'intel-pstate-2s-128c' },
  },
});
const rounds = Number(values.rounds);
const folder = mkdtempSync('/dev/shm/tailgov-bench-');

try {
  writeMock(findMock(values.machine, join(packageRoot(), 'sysfs-mocks')), join(folder, 'sys'));
  const tree = realTree(join(folder, 'sys'));
  const actuator = createCpufreqActuator({
    tree,
    journalPath: join(folder, 'journal'),
    method: values.method as FrequencyMethod,
  });
  actuator.engage();
  const pointAt = (khz: number): OperatingPoint => ({
    frequencyKhz: Object.fromEntries(actuator.machine.domains.map(({ id }) => [id, kiloHertz(khz)])),
    cpus: {},
  });
  const [slow, fast] = [pointAt(1_500_000), pointAt(2_500_000)];
  const { domains, cpus } = actuator.machine;
  console.log(`${cpus.length} CPUs, ${domains.length} domains, method ${actuator.method}, ${rounds} rounds each`);
  report('nothing to change', () => actuator.apply(slow));
  let turn = 0;
  report('every policy written', () => actuator.apply(turn++ % 2 === 0 ? fast : slow));
  const begin = process.hrtime.bigint();
  const restored = actuator.release('original');
  console.log(
    `release: ${restored.length} controls in ${(Number(process.hrtime.bigint() - begin) / 1e6).toFixed(1)} ms`,
  );
  tree.close();
} finally {
  rmSync(folder, { recursive: true });
}

function report(name: string, act: () => { readonly writes: number }): void {
  for (let round = 0; round < rounds / 10; round++) act();
  const tookUs: number[] = [];
  let writes = 0;
  for (let round = 0; round < rounds; round++) {
    const begin = process.hrtime.bigint();
    writes += act().writes;
    tookUs.push(Number(process.hrtime.bigint() - begin) / 1e3);
  }
  tookUs.sort((a, b) => a - b);
  const at = (quantile: number) => Math.round(tookUs[Math.floor(quantile * (rounds - 1))]!);
  console.log(`${name}: p50 ${at(0.5)} µs, p99 ${at(0.99)} µs, ${writes / rounds} writes`);
}
