import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { gapVariation, slackRatio } from '../../src/core/secondary-signals.ts';
import type { Sensor, SecondarySignals } from '../../src/core/sensor.ts';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import type { MethodChoice } from '../../src/sensor/probe-methods.ts';
import { Random } from '../../src/plant/random.ts';
import { RawClient } from './support/raw-client.ts';
import { sensorFixture } from './support/sensor-fixture.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
const BUSY_MS = 2;
const PATIENCE_MS = 60_000;
let port: number;
let replyBytes: number;
let stopServer: () => unknown;
const fixture = sensorFixture();
const { cleanups } = fixture;

beforeAll(async () => {
  const program = fileURLToPath(new URL('support/busy-server.mjs', import.meta.url));
  const child = spawn(process.execPath, [program, `${BUSY_MS}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  stopServer = () => child.kill('SIGKILL');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  port = Number(line);
  const client = await RawClient.connect(port);
  client.send(REQUEST);
  const [reply] = (await once(client.socket, 'data')) as [Buffer];
  replyBytes = reply.length;
  await client.close();
});
afterAll(() => {
  stopServer();
});

function open(method: MethodChoice, secondary: boolean): Sensor {
  const options = { method, secondary, objectDirectory: fixture.bpf.directory };
  const sensor = openSensor({ targets: [{ name: 'busy', ports: [port] }], ...options });
  cleanups.push(() => sensor.close());
  return sensor;
}

function read(sensor: Sensor): SecondarySignals {
  const { secondary } = sensor.read()[0]!;
  if (secondary === undefined) throw new Error('the snapshot has no secondary signals');
  return secondary;
}

async function connect(count: number): Promise<readonly RawClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => RawClient.connect(port)));
  cleanups.push(() => Promise.all(clients.map((client) => client.close())));
  return clients;
}

it.each<MethodChoice>(['tracepoint', 'syscall'])(
  'slack is near 1 when little comes and near 0 at saturation, where replies leave evenly; method %s',
  async (method) => {
    const sensor = open(method, true);
    const clients = await connect(16);
    // From here on the sensor knows the server's thread.
    await clients[0]!.exchange(REQUEST, replyBytes);
    read(sensor);

    const random = new Random(7, 'arrivals');
    await untilWindow(isCalm, async () => {
      const answered = clients.map(() => Promise.resolve());
      for (let sent = 0; sent < 60; sent++) {
        await sleep(random.nextExponential() * 20);
        const at = sent % clients.length;
        await answered[at];
        answered[at] = clients[at]!.exchange(REQUEST, replyBytes);
      }
      await Promise.all(answered);
      return read(sensor);
    });
    const windowAfter = async (ms: number) => {
      await sleep(ms);
      return read(sensor);
    };
    await untilWindow(isIdle, () => windowAfter(500));

    let stopped = false;
    const load = clients.map(async (client) => {
      while (!stopped) await client.exchange(REQUEST, replyBytes);
    });
    read(sensor);
    await untilWindow(isSaturated, () => windowAfter(250));
    stopped = true;
    await Promise.all(load);
  },
  3 * PATIENCE_MS + 30_000,
);

const isCalm = (signals: SecondarySignals) => slackRatio(signals)! > 0.3 && gapVariation(signals)! > 0.3;
const isIdle = (signals: SecondarySignals) => slackRatio(signals)! > 0.9;
const isSaturated = (signals: SecondarySignals) =>
  slackRatio(signals)! < 0.05 && signals.gaps > 20 && gapVariation(signals)! < 0.2;

/** Noise from elsewhere, such as a server or a client that gets no CPU, shows in the signals: a quiet window is waited for. */
async function untilWindow(
  holds: (signals: SecondarySignals) => boolean,
  window: () => Promise<SecondarySignals>,
): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  let seen: SecondarySignals;
  do seen = await window();
  while (!holds(seen) && performance.now() < deadline);
  expect({ ...seen, slack: slackRatio(seen), variation: gapVariation(seen) }).toSatisfy(() => holds(seen));
}

it('snapshots have none where they were not asked for, nor urgent ones', () => {
  expect(open('auto', false).read()[0]).not.toHaveProperty('secondary');
  const sensor = open('auto', true);
  expect(sensor.read(true)[0]).not.toHaveProperty('secondary');
  expect(read(sensor)).toMatchObject({ threadNs: 0, waitedNs: 0, gaps: 0 });
});
