/**
 * What a recording costs: `npx tsx bench/record-cost.ts [ROUNDS] [REQUESTS]`, as root.
 *
 * A Redis is saturated by redis-benchmark (50 connections, one GET at a time) while the kernel's own accounting
 * (kernel.bpf_stats_enabled) sums the time spent in the probes: the sensor alone and the sensor with a recording, in
 * alternation. Beside it, the CPU time of the process that reads the turns and writes them down.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { once } from 'node:events';
import { systemClock } from '../src/core/clock.ts';
import { openSensor } from '../src/sensor/open-sensor.ts';
import { RecordingFile } from '../src/sensor/recording-file.ts';
import { TurnRecorder } from '../src/sensor/turn-recorder.ts';
import { textTable } from '../src/telemetry/terminal-text.ts';
import { buildBpf } from '../test/kernel/support/build-bpf.ts';

const STATS = '/proc/sys/kernel/bpf_stats_enabled';
const PORT = 17_937;
const DRAIN_MS = 100;
const rounds = Number(process.argv[2] ?? 5);
const requests = Number(process.argv[3] ?? 200_000);

interface Round {
  readonly probesNs: number;
  readonly readerNs: number;
  readonly bytes: number;
  readonly lost: number;
  readonly requestsPerS: number;
}

const scratch = mkdtempSync(join(tmpdir(), 'tailgov-bench-'));
const bpf = buildBpf();
const statsBefore = readFileSync(STATS, 'utf8');
const redis = spawn('redis-server', ['--port', `${PORT}`, '--save', '', '--dir', scratch], { stdio: 'ignore' });
try {
  writeFileSync(STATS, '1');
  await sleep(500);
  const results: Record<'sensor' | 'recording', Round[]> = { sensor: [], recording: [] };
  for (let round = 0; round < rounds; round++) {
    results.sensor.push(await measure(false));
    results.recording.push(await measure(true));
  }
  console.log(`${rounds} rounds of ${requests} requests; medians (lowest to highest), a request`);
  const rows = Object.entries(results).map(([name, measured]) => [
    name,
    spread(measured.map(({ probesNs }) => probesNs)),
    spread(measured.map(({ readerNs }) => readerNs)),
    spread(measured.map(({ bytes }) => bytes)),
    spread(measured.map(({ lost }) => lost)),
    spread(measured.map(({ requestsPerS }) => requestsPerS)),
  ]);
  const columns = ['', 'probes, ns', 'reader, ns of CPU', 'bytes', 'lost in all', 'requests/s'];
  console.log(textTable([columns, ...rows]).join('\n'));
} finally {
  writeFileSync(STATS, statsBefore);
  redis.kill();
  bpf.remove();
  rmSync(scratch, { recursive: true, force: true });
}

async function measure(record: boolean): Promise<Round> {
  const known = new Set(programs().map(({ id }) => id));
  const sensor = openSensor({ targets: [{ name: 'bench', ports: [PORT] }], objectDirectory: bpf.directory, record });
  const name = join(scratch, 'recording');
  try {
    const recorder = record
      ? new TurnRecorder({
          sensor,
          targets: [{ file: new RecordingFile(name, 2 ** 40), target: 'bench' }],
          clock: systemClock,
          frequencyKhz: () => null,
        })
      : null;
    const drain = setInterval(() => recorder?.drain(), DRAIN_MS);
    const load = spawn('redis-benchmark', ['-p', `${PORT}`, '-n', `${requests}`, '-c', '50', '-t', 'get', '-q'], {
      stdio: 'ignore',
    });
    const began = performance.now();
    const cpuBefore = process.cpuUsage();
    await once(load, 'exit');
    const seconds = (performance.now() - began) / 1000;
    clearInterval(drain);
    recorder?.drain();
    const { user, system } = process.cpuUsage(cpuBefore);
    const probesNs = programs()
      .filter(({ id }) => !known.has(id))
      .reduce((sum, program) => sum + (program.run_time_ns ?? 0), 0);
    const lost = sensor.turns?.lost(0) ?? 0;
    recorder?.close();
    return {
      probesNs: probesNs / requests,
      readerNs: ((user + system) * 1000) / requests,
      bytes: record ? statSync(name).size / requests : 0,
      lost,
      requestsPerS: requests / seconds,
    };
  } finally {
    sensor.close();
  }
}

function programs(): readonly { readonly id: number; readonly run_time_ns?: number }[] {
  return JSON.parse(execFileSync('bpftool', ['prog', 'show', '-j'], { encoding: 'utf8' })) as ReturnType<
    typeof programs
  >;
}

function spread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const whole = (value: number) => value.toFixed(0);
  return `${whole(sorted[sorted.length >> 1]!)} (${whole(sorted[0]!)} to ${whole(sorted.at(-1)!)})`;
}
