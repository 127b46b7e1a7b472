import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TickReport } from '../../src/core/tick-report.ts';
import { Bench, until } from './support/daemon.ts';
import { RawClient } from './support/raw-client.ts';
import { ScriptedServers, type Server, startNginx, startRedis } from './support/servers.ts';

let bench: Bench;
let scripted: ScriptedServers;

beforeAll(() => {
  scripted = new ScriptedServers();
});

afterAll(() => {
  scripted.remove();
});

afterEach(async () => {
  await bench.close();
});

const serviceOf = (name: string, port: number, policy: string, latency: string) =>
  `  - { name: ${name}, target: { port: ${port} }, slo: { latency: ${latency} }, policy: ${policy} }\n`;
const configOf = (...services: string[]) => `services:\n${services.join('')}telemetry: { metrics: off }\n`;

/** Field 41 of /proc/PID/task/TID/stat: the scheduling policy, 1 for SCHED_FIFO; of every thread. */
function schedulingPolicies(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((tid) => {
    const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38]);
  });
}

const maxFrequencies = () =>
  Object.entries(bench.controls())
    .filter(([path]) => path.endsWith('scaling_max_freq'))
    .map(([, khz]) => Number(khz));

describe('the kernel’s alarm', () => {
  // So long an interval that nothing but an alarm can have been so quick.
  const INTERVAL_MS = 2000;
  const POLICY = `controller: pid\ninterval: ${INTERVAL_MS}ms\nparameters: { idleAfter: 100ms }\nlevel: { min: 0.2 }\n`;

  it('wakes the loop at the first arrival after idle, and the write is done long before the tick', async () => {
    const server = await scripted.start('r1 s1');
    try {
      bench = new Bench(configOf(serviceOf('web', server.port, 'policy.yaml', '5ms')));
      writeFileSync(join(bench.folder, 'policy.yaml'), POLICY);
      const daemon = bench.start();
      await bench.governing();
      await until('it is slow while idle', async () => (await lastTick()).services[0]!.appliedLevel < 0.5);
      const slowKhz = Math.max(...maxFrequencies());
      // In the middle between two ticks.
      const { tick } = await lastTick();
      await until('a tick has just been', async () => (await lastTick()).tick > tick);
      await sleep(INTERVAL_MS / 4);
      const client = await RawClient.connect(server.port);
      await client.exchange('x', 1);
      const woken = await tickWith('arrival-after-idle');
      expect(woken.alarms![0]!.answeredMs).toBeGreaterThan(0);
      expect(woken.alarms![0]!.answeredMs).toBeLessThan(INTERVAL_MS / 4);
      expect(woken.applied.writes).toBeGreaterThan(0);
      // What the files showed then: by now another tick may have found the server idle again.
      const { frequencies } = woken.applied;
      expect(Math.min(...frequencies.map(({ appliedKhz }) => appliedKhz!))).toBeGreaterThan(slowKhz);
      // Before every ordinary thread, and that thread alone: what it starts, and the rest of the process, is ordinary.
      expect(schedulingPolicies(daemon.process.pid!).filter((policy) => policy === 1)).toHaveLength(1);
      await client.close();
    } finally {
      await server.stop();
    }
  });

  it('ends a rest, in which the loop ticks twice a second, and so does a change of the config', async () => {
    const server = await scripted.start('r1 s1');
    try {
      bench = new Bench(configOf(serviceOf('web', server.port, 'policy.yaml', '5ms')));
      const policy = join(bench.folder, 'policy.yaml');
      writeFileSync(policy, 'controller: pid\ninterval: 50ms\nparameters: { idleAfter: 200ms }\nlevel: { min: 0.2 }\n');
      bench.start();
      await bench.governing();
      const rests = async () => {
        const [before, last] = (await bench.client.ticksAfter(-1)).slice(-2);
        return last !== undefined && last.atMs - before!.atMs > 400;
      };
      await until('it rests', rests);
      const atRest = await lastTick();
      await sleep(2000);
      const since = await bench.client.ticksAfter(atRest.tick);
      expect(since.length).toBeGreaterThanOrEqual(3);
      expect(since.length).toBeLessThanOrEqual(5);
      // Whole windows, and all well.
      expect(since.every(({ services, faults }) => services[0]!.snapshot.windowMs > 400 && faults.length === 0)).toBe(
        true,
      );
      expect(since.every(({ services }) => services[0]!.decision.reason.endsWith('idle level'))).toBe(true);

      const client = await RawClient.connect(server.port);
      await client.exchange('x', 1);
      const woken = await tickWith('arrival-after-idle');
      expect(woken.alarms![0]!.answeredMs).toBeLessThan(200);
      expect(woken.services[0]!.appliedLevel).toBeGreaterThan(0.5);
      await until('it ticks at its interval again', async () => {
        const after = (await bench.client.ticksAfter(woken.tick)).slice(0, 3);
        return after.length === 3 && after[2]!.atMs - woken.atMs < 400;
      });
      await client.close();

      await until('it rests again', rests);
      writeFileSync(policy, 'controller: fixed\ninterval: 50ms\nparameters: { level: 0.7 }\n');
      await until(
        'another policy governs',
        async () => (await lastTick()).services[0]!.decision.controller === 'fixed',
      );
      await until('what never changes rests, too', rests);
    } finally {
      await server.stop();
    }
  });

  /** Far more than twice the share that p99 tolerates, of one request a ms: another alarm may begin another count. */
  const CLIENTS = 3 * 0.02 * INTERVAL_MS;

  it('wakes the loop for requests over the objective', async () => {
    const server = await scripted.start('r1 w20 s1');
    try {
      bench = new Bench(configOf(serviceOf('web', server.port, 'policy.yaml', '5ms')));
      // At the highest level there would be nothing to wake for.
      const policy = `controller: fixed\ninterval: ${INTERVAL_MS}ms\nparameters: { level: 0.5 }\n`;
      writeFileSync(join(bench.folder, 'policy.yaml'), policy);
      bench.start();
      await bench.governing();
      const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RawClient.connect(server.port)));
      await Promise.all(clients.map((client) => client.exchange('x', 1)));
      const woken = await tickWith('late');
      expect(woken.alarms!.every(({ target, answeredMs }) => target === 'web' && answeredMs < INTERVAL_MS / 4)).toBe(
        true,
      );
      expect(woken.services[0]!.observation.alarmed).toBe(true);
      await Promise.all(clients.map((client) => client.close()));
    } finally {
      await server.stop();
    }
  });
});

describe('two services on one machine', () => {
  let redis: Server;
  let nginx: Server;

  beforeAll(async () => {
    [redis, nginx] = await Promise.all([startRedis(), startNginx('location / { return 200 ok; }')]);
  });

  afterAll(async () => {
    await Promise.all([redis.stop(), nginx.stop()]);
  });

  it('are governed by their own objectives and policies, and the one that is violated is served first', async () => {
    bench = new Bench(
      configOf(serviceOf('cache', redis.port, 'cache.yaml', '1us'), serviceOf('web', nginx.port, 'web.yaml', '1s')),
    );
    writeFileSync(join(bench.folder, 'cache.yaml'), 'controller: threshold\ninterval: 50ms\n');
    writeFileSync(
      join(bench.folder, 'web.yaml'),
      'controller: pid\ninterval: 100ms\nlevel: { min: 0.3 }\nparameters: { idleAfter: 100ms, slewDown: 5 }\n',
    );
    bench.start();
    await bench.governing();
    const [toCache, toWeb] = await Promise.all([RawClient.connect(redis.port), RawClient.connect(nginx.port)]);
    let going = true;
    const traffic = (async () => {
      while (going) {
        await toCache.exchange('PING\r\n', '+PONG\r\n'.length);
        await sleep(2);
      }
    })();
    const page = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
    toWeb.send(page);
    await until('both are measured', async () => {
      const { services } = await lastTick();
      return services.every(({ compliance }) => compliance.requests > 0);
    });
    let tick: TickReport;
    await until('the quiet one asks for little, while the other is at work', async () => {
      tick = await lastTick();
      return serviceIn(tick, 'web').decision.level < 0.5 && serviceIn(tick, 'cache').snapshot.requests > 0;
    });
    const [cache, web] = [serviceIn(tick!, 'cache'), serviceIn(tick!, 'web')];
    expect(cache.compliance.met).toBe(false);
    expect(cache.decision).toMatchObject({ controller: 'threshold', level: 1 });
    expect(web.compliance.met).toBe(true);
    expect(web.decision.controller).toBe('pid');
    // One machine: both are at the level that the violated one needs.
    expect([cache.appliedLevel, web.appliedLevel]).toEqual([1, 1]);

    // Once it asks for less, the machine follows.
    going = false;
    await traffic;
    writeFileSync(join(bench.folder, 'cache.yaml'), 'controller: fixed\nparameters: { level: 0.4 }\n');
    await until('the machine is slower', async () => serviceIn(await lastTick(), 'cache').appliedLevel < 0.6);
    expect(serviceIn(await lastTick(), 'web').appliedLevel).toBeLessThan(0.6);
    await Promise.all([toCache.close(), toWeb.close()]);
  });
});

async function lastTick(): Promise<TickReport> {
  return (await bench.client.status()).last!;
}

const serviceIn = (tick: TickReport, name: string) => tick.services.find(({ service }) => service === name)!;

async function tickWith(kind: string): Promise<TickReport> {
  let found: TickReport | undefined;
  await until(`an alarm ${kind} was answered`, async () => {
    found = (await bench.client.ticksAfter(-1)).find(({ alarms }) => alarms?.some((alarm) => alarm.kind === kind));
    return found !== undefined;
  });
  return found!;
}
