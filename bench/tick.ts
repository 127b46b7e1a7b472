/**
 * One tick, all of it, for four services on a machine of 128 CPUs: `npx tsx bench/tick.ts [--ticks 1000] [--folder /dev/shm]`, as
 * root, after a build.
 *
 * Four servers are measured by the real probes; the machine is a mock in memory, as sysfs is, without what a driver does. A tick
 * reads the sensor, steps four controllers, plans, applies and reports; the reports of a second are posted to another thread in
 * one go, as in the daemon. Ticks come every 20 ms, as a real-time thread. Two kinds: controllers at work, which seldom change
 * the frequency; and another frequency every tick, which writes and reads back 128 files.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { MessageChannel } from 'node:worker_threads';
import { composeGovernor } from '../src/compose/compose-governor.ts';
import { controllers } from '../src/controller/registry.ts';
import { systemClock } from '../src/core/clock.ts';
import type { Controller } from '../src/core/controller.ts';
import { claimCpu } from '../src/daemon/claim-cpu.ts';
import { collectGarbageAlone, garbageCollector, keepHeapsSmall } from '../src/daemon/collect-garbage.ts';
import { TickGatherer } from '../src/daemon/tick-gatherer.ts';
import { type Config, loadConfig } from '../src/policy/load-config.ts';
import { findMock, writeMock } from '../src/sysfs/mock-file.ts';

const { values } = parseArgs({
  options: { ticks: { type: 'string', default: '1000' }, folder: { type: 'string', default: '/dev/shm' } },
});
const ticks = Number(values.ticks);
const INTERVAL_MS = 20;
const WARM_UP_TICKS = 100;
/** Every three seconds, between two ticks, as the daemon does. */
const TICKS_A_COLLECTION = 3000 / INTERVAL_MS;
const PORTS = [17_401, 17_402, 17_403, 17_404];
const CPUS = 128;

/** Four servers, and a client for each that sends about 300 requests a second over four connections. */
const TRAFFIC = `
const net = require('node:net');
for (const port of ${JSON.stringify(PORTS)}) {
  net.createServer((socket) => socket.on('data', () => socket.write('.'))).listen(port, '127.0.0.1', () => {
    for (let connection = 0; connection < 4; connection++) {
      const socket = net.connect(port, '127.0.0.1');
      socket.on('connect', () => setInterval(() => socket.write('.'), 13)).on('data', () => {});
    }
  });
}`;

/** Another frequency every time. */
const alternating: Controller<number> = {
  name: 'alternating',
  initial: () => 0,
  step: (_, state) => ({ level: state % 2 === 0 ? 0.6 : 0.9, state: state + 1, reason: 'there and back' }),
};

const folder = mkdtempSync(join(values.folder, 'tailgov-tick-'));
let traffic: ChildProcess | undefined;
try {
  writeMachine(join(folder, 'sys'));
  const policy = `controller: pid\ninterval: ${INTERVAL_MS}ms\n`;
  writeFileSync(join(folder, 'policy.yaml'), policy);
  const services = PORTS.map(
    (port) => `  - { name: s${port}, target: { port: ${port} }, slo: { latency: 5ms }, policy: policy.yaml }\n`,
  );
  writeFileSync(join(folder, 'tailgov.yaml'), `services:\n${services.join('')}`);
  traffic = spawn(process.execPath, ['-e', TRAFFIC], { stdio: 'ignore' });
  await sleep(500);
  collectGarbageAlone();
  keepHeapsSmall();
  claimCpu('fifo', (_, message) => process.stderr.write(`${message}\n`));
  const config = loadConfig(join(folder, 'tailgov.yaml'), controllers);
  await measure('controllers at work', config);
  await measure('another frequency every tick', {
    ...config,
    services: config.services.map((service) => ({
      ...service,
      policy: { ...service.policy, controller: alternating },
    })),
  });
} finally {
  traffic?.kill();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(title: string, config: Config): Promise<void> {
  const governor = composeGovernor({
    config,
    dryRun: false,
    sysfsRoot: join(folder, 'sys'),
    journalPath: join(folder, 'journal'),
    log: () => undefined,
  });
  const { port1, port2 } = new MessageChannel();
  port2.on('message', () => undefined);
  const gatherer = new TickGatherer(systemClock, (message) => port1.postMessage(message));
  const tookMs: number[] = [];
  /** Of the ticks that write nothing. */
  const quietMs: number[] = [];
  let writes = 0;
  const collect = garbageCollector();
  collect('all');
  governor.loop.engage();
  try {
    for (let tick = 0; tick < WARM_UP_TICKS + ticks; tick++) {
      await sleep(INTERVAL_MS);
      const began = performance.now();
      const report = governor.loop.tick(systemClock.monotonicNs());
      gatherer.add(report, 0, governor.loop.snapshots, INTERVAL_MS);
      const ms = performance.now() - began;
      if (tick % TICKS_A_COLLECTION === 0) collect('recent');
      if (tick < WARM_UP_TICKS) continue;
      tookMs.push(ms);
      if (report.applied.writes === 0) quietMs.push(ms);
      writes += report.applied.writes;
    }
  } finally {
    governor.loop.release('original');
    governor.close();
    port1.close();
  }
  process.stdout.write(`${title}: ${spreadOf(tookMs)}, ${(writes / ticks).toFixed(1)} writes a tick\n`);
  if (quietMs.length > 0) process.stdout.write(`  those that write nothing: ${spreadOf(quietMs)}\n`);
}

function spreadOf(tookMs: readonly number[]): string {
  const sorted = tookMs.toSorted((a, b) => a - b);
  const at = (quantile: number) => sorted[Math.ceil(quantile * sorted.length) - 1]!.toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms of ${sorted.length} ticks`;
}

/** The recorded machine with 96 CPUs, and 32 more like its first, each in a frequency domain of its own. */
function writeMachine(directory: string): void {
  const mock = findMock('acpi-cpufreq-epyc-7451-2s96c', resolve('sysfs-mocks'));
  const files = new Map(mock.files);
  const own = new Set(['affected_cpus', 'related_cpus', 'freqdomain_cpus', 'thread_siblings_list']);
  for (let cpu = 96; cpu < CPUS; cpu++) {
    for (const [path, text] of mock.files) {
      const match = /^(devices\/system\/cpu\/(?:cpufreq\/policy|cpu))0(\/.*)$/.exec(path);
      if (match === null) continue;
      const name = path.slice(path.lastIndexOf('/') + 1);
      files.set(`${match[1]}${cpu}${match[2]}`, own.has(name) ? String(cpu) : text);
    }
  }
  for (const name of ['online', 'present', 'possible']) files.set(`devices/system/cpu/${name}`, `0-${CPUS - 1}`);
  writeMock({ ...mock, files }, directory);
}
