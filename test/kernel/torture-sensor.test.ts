import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { TurnSensor } from '../../src/sensor/turn-sensor.ts';
import { figure, patienceMs, tries } from '../torture/tries.ts';
import { until } from './support/daemon.ts';
import { RawClient } from './support/raw-client.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { freePort, startRedis, type Server } from './support/servers.ts';
import { Tally } from './support/tally.ts';

const OPEN = tries(300, 10_000);
const SHORT = tries(200, 20_000);
const RESTARTS = tries(10, 200);
/** Connections that are made, used or closed at a time. */
const AT_ONCE = 50;

type Mode = 'echo' | 'fork' | 'pass';

const fixture = sensorFixture();
const { cleanups, use } = fixture;

let directory: string;
let program: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-storm-'));
  program = join(directory, 'handover-server');
  const source = fileURLToPath(new URL('support/handover-server.c', import.meta.url));
  execFileSync('clang', ['-O1', '-Wall', '-Werror', source, '-o', program]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function start(mode: Mode, port: number): Promise<Server> {
  const child = spawn(program, [`${port}`, mode], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  await Promise.race([
    once(createInterface(child.stdout), 'line'),
    exited.then(([code]) => Promise.reject(new Error(`handover-server ended with ${code}`))),
  ]);
  return {
    port,
    pid: child.pid!,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

const descriptors = () => readdirSync('/proc/self/fd').length;

function observe(port: number) {
  const opened = descriptors();
  const targets = [{ name: 'server', ports: [port] }];
  const sensor = openSensor({ targets, objectDirectory: fixture.bpf.directory });
  cleanups.push(() => sensor.close());
  if (!(sensor instanceof TurnSensor)) throw new Error('expected a sensor whose connections can be walked');
  const tally = new Tally(sensor);
  return {
    tally,
    connections: () => sensor.walk()[0]!.connections,
    processes: () => sensor.processes().get('server')?.length ?? 0,
    /** All is over: every turn is accounted for, nothing is kept of any connection, nor by us. */
    settled: async (
      attack: string,
      expected: Partial<Tally['counts']>,
      more: Readonly<Record<string, number>> = {},
    ) => {
      const wanted = { ...expected, inFlight: 0 };
      expect(await tally.settle(wanted)).toEqual(wanted);
      const { arrivals, requests, abandoned, dropped, unsolicited } = tally.counts;
      expect(arrivals).toBe(requests + abandoned + dropped);
      expect(dropped).toBe(0);
      await until('no connection is kept', () => sensor.walk()[0]!.connections === 0);
      sensor.close();
      expect(descriptors()).toBeLessThanOrEqual(opened);
      figure(attack, { ...more, arrivals, requests, abandoned, dropped, unsolicited });
    },
  };
}

/** Does something so many times, some at once. */
async function storm(count: number, act: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < count; index = next++) await act(index);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, worker));
}

describe('the sensor under stress', () => {
  it(
    'follows thousands of open connections, those that say nothing and those that stop half way, and forgets each with its end',
    { timeout: patienceMs(OPEN, 20) },
    async () => {
      const redis = await use(startRedis('--maxclients', '15000'));
      const { tally, connections, settled } = observe(redis.port);
      const clients: RawClient[] = [];
      cleanups.push(() => Promise.all(clients.map((each) => each.close())));
      let [asked, half] = [0, 0];
      await storm(OPEN, async (index) => {
        const client = await RawClient.connect(redis.port);
        clients.push(client);
        if (index % 3 === 0) await client.exchange('PING\r\n', '+PONG\r\n'.length);
        if (index % 3 === 1) client.send('PIN');
        if (index % 3 === 0) asked += 1;
        if (index % 3 === 1) half += 1;
      });
      await tally.settle({ arrivals: asked + half });
      expect(tally.last!.inFlight).toBe(half);
      // Who has not said anything has no state.
      expect(connections()).toBe(asked + half);
      await storm(OPEN, async (index) => {
        const client = clients[index]!;
        if (index % 2 === 0) await client.reset();
        else await client.close();
      });
      const counts = { arrivals: asked + half, requests: asked, abandoned: half };
      await settled('open connections', counts, { connections: OPEN, silent: OPEN - asked - half });
    },
  );

  it('counts nothing for a flood of connections without a request', { timeout: patienceMs(SHORT, 10) }, async () => {
    const port = await freePort();
    await use(start('echo', port));
    const { settled } = observe(port);
    await storm(SHORT, async (index) => {
      const client = await RawClient.connect(port);
      await (index % 2 === 0 ? client.reset() : client.close());
    });
    await settled('flood without requests', { arrivals: 0, requests: 0, abandoned: 0 }, { connections: SHORT });
  });

  it('accounts for replies that are reset in their middle', { timeout: patienceMs(SHORT / 10, 50) }, async () => {
    const server = await use(fixture.scripted.start('r1 s3000000'));
    const { settled } = observe(server.port);
    const count = Math.ceil(SHORT / 10);
    await storm(count, async (index) => {
      const client = await RawClient.connect(server.port);
      client.send('x');
      await client.receive(1 + (index % 7) * 100_000);
      await client.reset();
    });
    await settled('reset in mid reply', { arrivals: count }, { connections: count });
  });

  it.each(['r1 c', 'r1 x', 'q1 c', 'q1 x', 'r1 w2 x'])(
    'accounts for requests whose connection the server closes: %s',
    { timeout: patienceMs(SHORT / 5, 10) },
    async (script) => {
      const server = await use(fixture.scripted.start(script));
      const { settled } = observe(server.port);
      const count = Math.ceil(SHORT / 5);
      await storm(count, async () => {
        const client = await RawClient.connect(server.port);
        client.send('x');
        await client.ended();
        await client.close();
      });
      const counts = { arrivals: count, requests: 0, abandoned: count };
      await settled('closed with a request in flight', counts, { connections: count });
    },
  );

  it.each([
    { mode: 'fork', by: 'a process that is forked for each connection' },
    { mode: 'pass', by: 'a process that a descriptor was passed to' },
  ] as const)('counts exactly what is answered by $by', { timeout: patienceMs(SHORT, 20) }, async ({ mode }) => {
    const port = await freePort();
    await use(start(mode, port));
    const { tally, processes, settled } = observe(port);
    let most = 0;
    await storm(SHORT, async (index) => {
      const client = await RawClient.connect(port);
      for (let turn = 0; turn < 3; turn++) await client.exchange('a', 1);
      if (index % 10 === 0) {
        // Never answered.
        client.send('h');
        await until('it has arrived', () => tally.read().inFlight > 0);
      }
      if (index % 100 === 0) most = Math.max(most, processes());
      await client.close();
    });
    await until('those that have ended are forgotten', () => (tally.read(), processes() <= 1));
    const held = Math.ceil(SHORT / 10);
    const counts = { arrivals: 3 * SHORT + held, requests: 3 * SHORT, abandoned: held };
    await settled(`connections by ${mode}`, counts, { connections: SHORT, mostProcesses: most });
  });

  it(
    'goes on with a target that is killed and started again and again, with requests in flight',
    { timeout: patienceMs(RESTARTS, 200) },
    async () => {
      const port = await freePort();
      const { tally, processes, settled } = observe(port);
      for (let round = 0; round < RESTARTS; round++) {
        const server = await use(start('echo', port));
        const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.connect(port)));
        for (const client of clients.slice(0, 3)) await client.exchange('a', 1);
        for (const client of clients.slice(3)) client.send('h');
        await until('both are in flight', () => tally.read().inFlight === 2);
        await server.stop();
        await Promise.all(clients.map((client) => client.ended()));
        await Promise.all(clients.map((client) => client.close()));
      }
      const counts = { arrivals: 5 * RESTARTS, requests: 3 * RESTARTS, abandoned: 2 * RESTARTS };
      await until('no process of it is left', () => (tally.read(), processes() === 0));
      await settled('target killed and restarted', counts, { restarts: RESTARTS });
    },
  );
});
