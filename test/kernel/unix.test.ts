import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { Tally } from './support/tally.ts';

const PATIENCE_MS = 60_000;
let directory: string;
const fixture = sensorFixture();
const { cleanups } = fixture;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-unix-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** @returns how it is stopped */
function startRedis(path: string): () => Promise<void> {
  const args = ['--port', '0', '--unixsocket', path, '--save', '', '--dir', directory];
  const child = spawn('redis-server', args, { stdio: 'ignore' });
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
}

async function connected(path: string): Promise<Socket> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      cleanups.push(() => socket.destroy());
      return socket;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

async function ping(socket: Socket, times: number): Promise<void> {
  for (let sent = 0; sent < times; sent++) {
    socket.write('PING\r\n');
    await once(socket, 'data');
  }
}

it('Redis on a Unix-domain socket: every turn, those of a connection from before the sensor too, and after a restart', async () => {
  const path = join(directory, 'redis.sock');
  let stop = startRedis(path);
  cleanups.push(() => stop());
  const early = await connected(path);
  await ping(early, 3);
  const sensor = openSensor({ targets: [{ name: 'redis', unix: path }], objectDirectory: fixture.bpf.directory });
  cleanups.push(() => sensor.close());
  const tally = new Tally(sensor);
  expect(sensor.waiting()).toEqual([]);

  await Promise.all([ping(early, 101), ping(await connected(path), 307)]);
  const expected = { arrivals: 408, requests: 408, unsolicited: 0, abandoned: 0, dropped: 0, inFlight: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
  expect(tally.latency.sumNs).toBe(tally.socketWait.sumNs + tally.handlingTime.sumNs);

  await stop();
  stop = startRedis(path);
  const late = await connected(path);
  // Its first turns are not seen before the sensor has found the new socket.
  const deadline = performance.now() + PATIENCE_MS;
  while (tally.counts.requests === 408 && performance.now() < deadline) {
    await ping(late, 1);
    tally.read();
  }
  await tally.settle({ inFlight: 0 });
  const before = tally.counts.requests;
  await ping(late, 211);
  expect(await tally.settle({ requests: before + 211, inFlight: 0 })).toEqual({ requests: before + 211, inFlight: 0 });
});

it('Redis on a Unix-domain socket: what its client closes before it is answered is abandoned', async () => {
  const path = join(directory, 'abandoned.sock');
  const stop = startRedis(path);
  cleanups.push(stop);
  const socket = await connected(path);
  const sensor = openSensor({ targets: [{ name: 'redis', unix: path }], objectDirectory: fixture.bpf.directory });
  cleanups.push(() => sensor.close());
  const tally = new Tally(sensor);
  socket.write('PING without an end');
  expect(await tally.settle({ arrivals: 1, inFlight: 1 })).toEqual({ arrivals: 1, inFlight: 1 });
  socket.destroy();
  const expected = { arrivals: 1, requests: 0, abandoned: 1, inFlight: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
});
