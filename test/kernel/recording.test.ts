import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Protocol } from '../../src/core/sensor.ts';
import { NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import { readRecording } from '../../src/plant/recording.ts';
import { openSensor } from '../../src/sensor/open-sensor.ts';
import { RecordingFile } from '../../src/sensor/recording-file.ts';
import { TurnRecorder } from '../../src/sensor/turn-recorder.ts';
import { GrpcClient, startGrpc, unary } from './support/grpc.ts';
import { Bench, configOf, readyPolicy, startTailgov, tailgov, until } from './support/daemon.ts';
import { exchanges } from './support/raw-client.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { PING, PONG_BYTES, startRedis } from './support/servers.ts';
import { WholeRun } from './support/whole-run.ts';

const fixture = sensorFixture();
const { cleanups, use, client } = fixture;
const directory = mkdtempSync(join(tmpdir(), 'tailgov-record-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Records the requests that a load makes of the server, and what the histograms say of the same. */
async function recorded(
  name: string,
  server: { port: number },
  requests: number,
  load: () => Promise<void>,
  { protocol = 'auto', extendGapNs = 20 * NS_PER_S }: { protocol?: Protocol; extendGapNs?: number } = {},
) {
  const file = join(directory, name);
  const sensor = openSensor({
    targets: [{ name: 'server', ports: [server.port], protocol }],
    objectDirectory: fixture.bpf.directory,
    extendGapNs,
    record: true,
  });
  cleanups.push(() => sensor.close());
  const recorder = new TurnRecorder({
    sensor,
    targets: [{ file: new RecordingFile(file, 1e9), target: 'server' }],
    clock: systemClock,
    frequencyKhz: () => null,
  });
  const whole = new WholeRun(sensor);
  await load();
  expect(await whole.settle({ requests })).toEqual({ requests });
  const { snapshot } = whole;
  recorder.window([snapshot]);
  return { snapshot, outcome: recorder.close()[0]!, recording: readRecording(file) };
}

const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);

describe('a recording of a real server', () => {
  it('has every turn of a Redis, to the ns as the histograms have them', async () => {
    const redis = await use(startRedis());
    const clients = await Promise.all(Array.from({ length: 7 }, () => client(redis)));
    const load = () => exchanges(clients, 5003, PING, PONG_BYTES);
    const { snapshot, outcome, recording } = await recorded('redis', redis, 5003, load);
    expect(outcome).toMatchObject({ whole: true });
    expect(recording.arrivalsNs).toHaveLength(5003);
    expect(sum(recording.socketWaitsNs)).toBe(snapshot.socketWait.sumNs);
    expect(sum(recording.handlingTimesNs)).toBe(snapshot.handlingTime.sumNs);
    expect(recording.end).toMatchObject({ reason: 'done', lost: 0 });
    expect(recording.header).toMatchObject({ target: 'server', unit: 'turn', method: snapshot.method });
  });

  it('has every stream of a gRPC server, with a hundred in flight on one connection', async () => {
    const server = await use(startGrpc({ '/unary': unary }));
    const one = new GrpcClient(server.port);
    cleanups.push(() => one.close());
    const load = async () => {
      let left = 307;
      await Promise.all(
        Array.from({ length: 100 }, async () => {
          while (left-- > 0) await one.call('/unary');
        }),
      );
    };
    const { snapshot, recording } = await recorded('grpc', server, 307, load, { protocol: 'http2' });
    expect(snapshot.unit).toBe('stream');
    expect(recording.arrivalsNs).toHaveLength(307);
    expect(sum(recording.socketWaitsNs)).toBe(snapshot.socketWait.sumNs);
    expect(sum(recording.handlingTimesNs)).toBe(snapshot.handlingTime.sumNs);
    expect(recording.end).toMatchObject({ reason: 'done', lost: 0 });
    expect(recording.header).toMatchObject({ unit: 'stream' });
  });

  it('says what its lines are where the protocol was not told', async () => {
    const server = await use(startGrpc({ '/unary': unary }));
    const load = async () => {
      // Begun after the sensor, so that its preface is seen.
      const one = new GrpcClient(server.port);
      cleanups.push(() => one.close());
      for (let left = 53; left > 0; left--) await one.call('/unary');
    };
    const { snapshot, recording } = await recorded('found-out', server, 53, load);
    expect(snapshot.unit).toBe('stream');
    expect(recording.mark?.units).toMatchObject({ stream: 53 });
    expect(recording.header.unit).toBe('stream');
  });

  it('has one line for a turn whose reply leaves in several sends, up to the last of them', async () => {
    const server = await use(fixture.scripted.start('r1 s1 w20 s1 w600000'));
    const one = await client(server);
    const { snapshot, recording } = await recorded('extended', server, 1, () => one.exchange('x', 2));
    expect(recording.handlingTimesNs).toHaveLength(1);
    expect(recording.handlingTimesNs[0]).toBeGreaterThanOrEqual(20 * NS_PER_MS);
    expect(recording.handlingTimesNs[0]).toBe(snapshot.handlingTime.sumNs);
  });

  it('streams nothing where nobody asked for it', () => {
    const sensor = openSensor({ targets: [{ name: 'none', ports: [1] }], objectDirectory: fixture.bpf.directory });
    cleanups.push(() => sensor.close());
    expect(sensor.turns).toBeNull();
  });
});

describe('tailgov observe --record', () => {
  it.each(['at Ctrl-C', 'where nobody reads its table any more'] as const)('leaves a whole file %s', async (why) => {
    const redis = await use(startRedis());
    const file = join(directory, `ended ${why}`);
    const observe = startTailgov('observe', '--port', `${redis.port}`, '--record', file);
    cleanups.push(() => observe.process.kill('SIGKILL'));
    await until('it observes', () => observe.output().includes('requests/s'));
    const one = await client(redis);
    await exchanges([one], 101, PING, PONG_BYTES);
    if (why === 'at Ctrl-C') observe.process.kill('SIGINT');
    else observe.process.stdout.destroy();
    expect(await observe.exited).toBe(0);
    expect(observe.output()).toContain(`recorded 101 requests in ${file}`);
    const recording = readRecording(file);
    expect(recording.arrivalsNs).toHaveLength(101);
    expect(recording.end).toMatchObject({ reason: 'done' });
  });

  it('says that the disk is full, goes on observing, and fails in the end', async () => {
    const redis = await use(startRedis());
    const { status, stderr, stdout } = tailgov(
      ...['observe', '--port', `${redis.port}`, '--duration', '1500ms', '--interval', '500ms', '--record', '/dev/full'],
    );
    expect(stderr).toContain('ENOSPC');
    expect(stdout.trim().split('\n').length).toBeGreaterThanOrEqual(4);
    expect(status).toBe(1);
  });
});

describe('tailgov run --dry-run --record', () => {
  it('records a production server and what it predicts, and the simulator compares the two', async () => {
    const redis = await use(startRedis());
    const bench = new Bench(configOf({ name: 'cache', port: redis.port, latency: '20ms' }));
    cleanups.push(() => bench.close());
    const file = join(directory, 'dry-run');
    const daemon = bench.start('--dry-run', '--record', file);
    await bench.governing();
    const clients = await Promise.all(Array.from({ length: 3 }, () => client(redis)));
    let sent = 0;
    await until('a slower machine is predicted', async () => {
      for (const each of clients) {
        await each.exchange(PING, PONG_BYTES);
        sent++;
      }
      return sent % 300 === 0 && (await bench.client.status()).last!.services[0]!.appliedLevel < 0.9;
    });
    daemon.process.kill('SIGTERM');
    expect(await daemon.exited).toBe(0);
    expect(daemon.output()).toMatch(/predicted of pid\.yaml over \d+ requests: p99 .* mean level 0\.\d+/);
    const { header, arrivalsNs, end } = readRecording(file);
    expect(arrivalsNs).toHaveLength(sent);
    expect(header).toMatchObject({ target: 'cache', slo: { quantile: 0.99, latencyNs: 20 * NS_PER_MS } });
    expect(header.frequencyKhz).toBeGreaterThan(0);
    expect(end?.predicted?.meanLevel).toBeLessThan(1);

    const simulated = tailgov('simulate', '--recording', file, '--policy', 'pid');
    expect(simulated.status).toBe(0);
    expect(simulated.stdout).toMatch(
      /The dry run predicted of pid: .* late, mean level 0\.\d+; simulated: .* mean level/,
    );
    expect(simulated.stdout).toMatch(/Recorded at .* GHz in the mean/);
  });

  it('gives each of several services a file of its own, which replays by itself', async () => {
    const [first, second] = [await use(startRedis()), await use(startRedis())];
    const service = (name: string, port: number) =>
      `  - { name: ${name}, target: { port: ${port} }, slo: { latency: 20ms }, policy: ${readyPolicy()} }\n`;
    const bench = new Bench(`services:\n${service('cache', first.port)}${service('queue', second.port)}`);
    cleanups.push(() => bench.close());
    const daemon = bench.start('--dry-run', '--record', join(directory, 'day.rec'));
    await bench.governing();
    const clients = [await client(first), await client(second)];
    for (const [index, requests] of [29, 17].entries()) {
      await exchanges([clients[index]!], requests, PING, PONG_BYTES);
    }
    await until('a tick has seen all of them', async () => {
      const { services } = await bench.client.totals();
      return services.map(({ requests }) => requests).join() === '29,17';
    });
    daemon.process.kill('SIGTERM');
    expect(await daemon.exited).toBe(0);
    for (const [name, requests] of [
      ['cache', 29],
      ['queue', 17],
    ] as const) {
      const file = join(directory, `day.${name}.rec`);
      const { header, arrivalsNs, end } = readRecording(file);
      expect(header.target).toBe(name);
      expect(arrivalsNs).toHaveLength(requests);
      expect(end?.predicted?.requests).toBe(requests);
      const simulated = tailgov('simulate', '--recording', file, '--policy', 'pid');
      expect(simulated.stdout).toContain('The dry run predicted of pid');
    }
    expect(() => statSync(join(directory, 'day.rec'))).toThrow('ENOENT');
  });

  it('is refused where the daemon is to govern, and creates nothing', () => {
    const file = join(directory, 'none');
    const config = join(directory, 'govern.yaml');
    writeFileSync(config, configOf({ port: 80 }));
    const runtime = join(directory, 'run');
    const { status, stderr } = tailgov('run', '--config', config, '--runtime', runtime, '--record', file);
    expect(status).toBe(2);
    expect(stderr).toContain('expected --dry-run');
    expect(() => statSync(file)).toThrow('ENOENT');
  });
});
