import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type OpenedSensor, openSensor, type TargetSpec } from '../../src/sensor/open-sensor.ts';
import { exchanges, RawClient } from './support/raw-client.ts';
import { freePort, PING, PONG_BYTES, startRedis } from './support/servers.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { Tally, untilWaiting } from './support/tally.ts';

const PATIENCE_MS = 60_000;

const fixture = sensorFixture();
const { cleanups, use } = fixture;

function open(targets: readonly TargetSpec[]): OpenedSensor {
  const sensor = openSensor({ targets, objectDirectory: fixture.bpf.directory });
  cleanups.push(() => sensor.close());
  return sensor;
}

async function ping(port: number, times: number): Promise<void> {
  const client = await RawClient.connect(port);
  await exchanges([client], times, PING, PONG_BYTES);
  await client.close();
}

/** Answers each request on its ports, the last of which a child of its own begins to listen on when it is told to. */
const WORKERS = `
import { fork } from 'node:child_process';
import { createServer } from 'node:net';
const listen = (port, host) => createServer((socket) => socket.on('data', () => socket.write('+PONG\\r\\n')).on('error', () => {}))
  .listen(port, host, () => console.log('listening'));
if (process.argv[2] === 'worker') listen(Number(process.argv[3]), '127.0.0.1');
else {
  listen(Number(process.argv[2]), '127.0.0.1');
  process.stdin.once('data', () => fork(process.argv[1], ['worker', process.argv[3]]));
  process.stdin.once('end', () => process.exit());
}`;

async function startWorkers(
  first: number,
  later: number,
): Promise<{ child: ChildProcess; readonly addWorker: () => Promise<void> }> {
  const file = `/tmp/tailgov-workers-${process.pid}-${first}.mjs`;
  writeFileSync(file, WORKERS);
  const child = spawn(process.execPath, [file, `${first}`, `${later}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  cleanups.push(async () => {
    const exited = once(child, 'exit');
    process.kill(-child.pid!, 'SIGKILL');
    await exited;
    execFileSync('rm', [file]);
  });
  const lines = createInterface(child.stdout);
  await once(lines, 'line');
  return {
    child,
    addWorker: async () => {
      child.stdin.write('go\n');
      await once(lines, 'line');
    },
  };
}

it('a process: its own requests and those of a worker that comes later, on another port', async () => {
  const [first, later] = [await freePort(), await freePort()];
  const { child, addWorker } = await startWorkers(first, later);
  const sensor = open([
    { name: 'process', pid: child.pid! },
    { name: 'later', pid: child.pid!, ports: [later] },
  ]);
  const tally = new Tally(sensor);
  expect(sensor.waiting()).toEqual([`port ${later} in pid ${child.pid!}`]);
  await ping(first, 211);
  await addWorker();
  await untilWaiting(sensor, 0, tally);
  await ping(later, 307);

  const expected = { arrivals: 518, requests: 518, abandoned: 0, dropped: 0, inFlight: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
});

it('a cgroup: what is in it, whatever its port, and again after a restart with a cgroup of the same name', async () => {
  const root = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((each) => existsSync(`${each}/cgroup.controllers`))!;
  const name = `tailgov-test-${process.pid}`;
  const directory = `${root}/${name}`;
  const inner = `${directory}/workers`;
  const sensor = open([{ name: 'cgroup', cgroup: `/${name}` }]);
  const tally = new Tally(sensor);
  expect(sensor.waiting()).toEqual([`cgroup /${name}`]);

  for (const requests of [101, 103]) {
    mkdirSync(inner, { recursive: true });
    const redis = await startRedis();
    try {
      await ping(redis.port, 7);
      writeFileSync(`${inner}/cgroup.procs`, `${redis.pid}`);
      await untilWaiting(sensor, 0, tally);
      await ping(redis.port, requests);
      expect(await tally.settle({ inFlight: 0 })).toEqual({ inFlight: 0 });
    } finally {
      await redis.stop();
      for (const each of [inner, directory]) rmdirSync(each);
    }
    await untilWaiting(sensor, 1, tally);
  }
  const expected = { arrivals: 204, requests: 204, abandoned: 0, dropped: 0 };
  expect(await tally.settle(expected)).toEqual(expected);
});

it('the same port in two network namespaces is two targets', async () => {
  const redis = await use(startRedis());
  const netns = `tailgov-${process.pid}`;
  const inside = ['ip', 'netns', 'exec', netns];
  const targets = [
    { name: 'ours', ports: [redis.port] },
    { name: 'theirs', ports: [redis.port], netns },
  ];
  const [sensor, another] = [open(targets), open(targets)];
  const [ours, theirs] = [new Tally(sensor, 0), new Tally(another, 1)];
  expect(sensor.waiting()).toEqual([`port ${redis.port} in network namespace ${netns}`]);
  await ping(redis.port, 101);
  expect(await ours.settle({ requests: 101 })).toEqual({ requests: 101 });

  execFileSync('ip', ['netns', 'add', netns]);
  cleanups.push(() => execFileSync('ip', ['netns', 'delete', netns]));
  execFileSync('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
  const other = spawn(inside[0]!, [...inside.slice(1), 'redis-server', '--port', `${redis.port}`, '--save', ''], {
    stdio: 'ignore',
  });
  cleanups.push(async () => {
    const exited = once(other, 'exit');
    other.kill('SIGKILL');
    await exited;
  });
  await untilWaiting(sensor, 0, ours);
  await untilWaiting(another, 0, theirs);
  const cli = [...inside.slice(1), 'redis-cli', '-p', `${redis.port}`, '-r', '307', 'PING'];
  const deadline = performance.now() + PATIENCE_MS;
  while (spawnSync(inside[0]!, cli, { stdio: 'ignore' }).status !== 0) {
    if (performance.now() > deadline) throw new Error('no Redis answers in the namespace');
    await sleep(50);
  }
  await ping(redis.port, 103);

  expect(await ours.settle({ requests: 204, inFlight: 0 })).toEqual({ requests: 204, inFlight: 0 });
  expect(await theirs.settle({ requests: 307, inFlight: 0 })).toEqual({ requests: 307, inFlight: 0 });
});
