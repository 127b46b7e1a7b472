/**
 * What reading a snapshot costs: `npx tsx bench/sensor-read.ts [READS]`, as root. It must not depend on how much was
 * counted: windows in which nothing happened are compared with windows full of requests, and with those in which a walk
 * over open connections is due.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSensor } from '../src/sensor/open-sensor.ts';
import { buildBpf } from '../test/kernel/support/build-bpf.ts';
import { RawClient } from '../test/kernel/support/raw-client.ts';
import { startRedis } from '../test/kernel/support/servers.ts';

const reads = Number(process.argv[2] ?? 100);
const INTERVAL_MS = 20;
const CONNECTIONS = 500;

const bpf = buildBpf();
const redis = await startRedis();
const sensor = openSensor({ targets: [{ name: 'redis', ports: [redis.port] }], objectDirectory: bpf.directory });
let load: ChildProcess | undefined;
const clients: RawClient[] = [];
try {
  await measure('warming up');
  await measure('idle');
  load = spawn('redis-benchmark', ['-p', `${redis.port}`, '-n', '1000000000', '-c', '50', '-t', 'get', '-q'], {
    stdio: 'ignore',
  });
  await measure('50 connections busy');
  load.kill('SIGKILL');
  for (let opened = 0; opened < CONNECTIONS; opened++) {
    const client = await RawClient.connect(redis.port);
    clients.push(client);
    // Half a command: in flight until the connection closes.
    client.send('PI');
  }
  await measure(`${CONNECTIONS} connections waiting`);
} finally {
  load?.kill('SIGKILL');
  for (const client of clients) await client.close();
  sensor.close();
  await redis.stop();
  bpf.remove();
}

async function measure(what: string): Promise<void> {
  const tookUs: number[] = [];
  let requests = 0;
  for (let read = 0; read < reads; read++) {
    await sleep(INTERVAL_MS);
    const start = performance.now();
    const [snapshot] = sensor.read();
    tookUs.push((performance.now() - start) * 1000);
    requests += snapshot!.requests;
  }
  tookUs.sort((a, b) => a - b);
  const at = (share: number) => tookUs[Math.floor(share * (reads - 1))]!.toFixed(0);
  console.log(
    `${what}: ${(requests / reads).toFixed(0)} requests a read; p10 ${at(0.1)} p50 ${at(0.5)} p90 ${at(0.9)} µs`,
  );
}
