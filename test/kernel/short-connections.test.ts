import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { TurnSensor } from '../../src/sensor/turn-sensor.ts';
import { figure } from '../torture/tries.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { startNginx } from './support/servers.ts';
import { Tally } from './support/tally.ts';

/** TAILGOV_SHORT_CONNECTIONS=1000000 takes minutes. */
const CONNECTIONS = Number(process.env.TAILGOV_SHORT_CONNECTIONS ?? 20_000);
/** At 500 a second, on a machine that is very busy. */
const TIMEOUT_MS = 60_000 + CONNECTIONS * 2;
const PATIENCE_MS = 20_000;

const fixture = sensorFixture();
const { cleanups, use } = fixture;
let directory: string;
let client: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-short-'));
  client = join(directory, 'short-connections');
  const source = fileURLToPath(new URL('support/short-connections.c', import.meta.url));
  execFileSync('clang', ['-O1', '-Wall', '-Werror', '-pthread', source, '-o', client]);
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

it.each(['tracepoint', 'syscall'] as const)(
  'short connections: every turn is accounted for, and the state of all is gone with them; method %s',
  async (method) => {
    const nginx = await use(startNginx('location / { return 200 "hello"; }'));
    const targets = [{ name: 'server', ports: [nginx.port] }];
    const sensor = openSensor({ targets, method, objectDirectory: fixture.bpf.directory });
    cleanups.push(() => sensor.close());
    if (!(sensor instanceof TurnSensor)) throw new Error('expected a sensor whose connections can be walked');
    const tally = new Tally(sensor);
    const walk = () => sensor.walk()[0]!;

    let ended = false;
    const run = promisify(execFile)(client, [`${nginx.port}`, `${CONNECTIONS}`, '4']).finally(() => (ended = true));
    let mostConnections = 0;
    while (!ended) {
      await Promise.race([sleep(100), run]);
      tally.read();
      mostConnections = Math.max(mostConnections, walk().connections);
    }
    const { sent, answered } = JSON.parse((await run).stdout) as { sent: number; answered: number };

    await tally.settle({ inFlight: 0 });
    const { arrivals, requests, abandoned, dropped } = tally.counts;
    expect(tally.last!.inFlight).toBe(0);
    expect(dropped).toBe(0);
    figure('short connections', { method, connections: CONNECTIONS, sent, answered, arrivals, requests, abandoned });
    expect(arrivals).toBe(requests + abandoned);
    expect(requests).toBeGreaterThanOrEqual(answered);
    // What is reset before it is read has arrived, but is nothing that a system call sees.
    if (method === 'tracepoint') expect(arrivals).toBe(sent);
    else expect(arrivals).toBeLessThanOrEqual(sent);

    // nginx has no more than 256 connections at a time, and four threads ask.
    expect(mostConnections).toBeLessThan(1000);
    const deadline = performance.now() + PATIENCE_MS;
    while (walk().connections > 0 && performance.now() < deadline) await sleep(20);
    expect(walk().connections).toBe(0);
    expect(sensor.processes().get('server')!.length).toBeLessThanOrEqual(1);
  },
  TIMEOUT_MS,
);
