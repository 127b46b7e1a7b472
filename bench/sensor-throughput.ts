/**
 * What the sensor costs a saturated server: `npx tsx bench/sensor-throughput.ts [ROUNDS] [REQUESTS]`, as root.
 * redis-benchmark (50 connections, one GET at a time) runs against one Redis with the sensor on and off in turn, the order
 * of the pair changing from round to round; what counts is the ratio of the two in each pair.
 */
import { execFileSync } from 'node:child_process';
import { openSensor } from '../src/sensor/open-sensor.ts';
import { buildBpf } from '../test/kernel/support/build-bpf.ts';
import { startRedis } from '../test/kernel/support/servers.ts';

const rounds = Number(process.argv[2] ?? 10);
const requests = Number(process.argv[3] ?? 300_000);

interface Run {
  readonly rps: number;
  readonly p99Ms: number;
}

const bpf = buildBpf();
const redis = await startRedis();
try {
  run();
  const pairs: { readonly on: Run; readonly off: Run }[] = [];
  for (let round = 0; round < rounds; round++) {
    const first = round % 2 === 0 ? run() : observed();
    const second = round % 2 === 0 ? observed() : run();
    const pair = round % 2 === 0 ? { off: first, on: second } : { on: first, off: second };
    pairs.push(pair);
    console.log(
      `round ${String(round + 1).padStart(2)}: off ${pair.off.rps.toFixed(0)}/s p99 ${pair.off.p99Ms} ms, on ${pair.on.rps.toFixed(0)}/s p99 ${pair.on.p99Ms} ms, ratio ${(pair.on.rps / pair.off.rps).toFixed(4)}`,
    );
  }
  show(
    'throughput on ÷ off',
    pairs.map(({ on, off }) => on.rps / off.rps),
  );
  show(
    'p99 on ÷ off',
    pairs.map(({ on, off }) => on.p99Ms / off.p99Ms),
  );
} finally {
  await redis.stop();
  bpf.remove();
}

function observed(): Run {
  const sensor = openSensor({ targets: [{ name: 'redis', ports: [redis.port] }], objectDirectory: bpf.directory });
  try {
    return run();
  } finally {
    sensor.close();
  }
}

function run(): Run {
  const args = ['-p', String(redis.port), '-t', 'get', '-n', String(requests), '-c', '50', '--csv'];
  // "test","rps","avg_latency_ms","min","p50","p95","p99","max"
  const line = execFileSync('redis-benchmark', args, { encoding: 'utf8' }).trim().split('\n').at(-1)!;
  const cells = line.split(',').map((cell) => cell.replaceAll('"', ''));
  return { rps: Number(cells[1]), p99Ms: Number(cells[6]) };
}

function show(name: string, ratios: readonly number[]): void {
  const sorted = [...ratios].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!.toFixed(3);
  console.log(`${name}: median ${at(0.5)}, quartiles ${at(0.25)} to ${at(0.75)}, range ${at(0)} to ${at(1)}`);
}
