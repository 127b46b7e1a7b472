import {
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  readlinkSync,
  symlinkSync,
  mkdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TickReport } from '../../src/core/tick-report.ts';
import { Bench, tailgov, until } from './support/daemon.ts';
import { RawClient } from './support/raw-client.ts';
import { type Server, startRedis } from './support/servers.ts';

let redis: Server;
let bench: Bench;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis.stop();
});

afterEach(async () => {
  await bench.close();
});

const PING = '*1\r\n$4\r\nPING\r\n';
const PONG_BYTES = '+PONG\r\n'.length;
const fixedAt = (level: number) => `controller: fixed\nparameters: { level: ${level} }\n`;
const expression = (level: number) => `controller: expression\nparameters: { level: "${level}" }\n`;
/** What the descriptors of a process stand for: paths and kinds. */
const openIn = (pid: number) =>
  readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\d+\]$/, ']');
    } catch {
      return [];
    }
  });
/** What is there more of than before. */
const openedSince = (before: readonly string[], now: readonly string[]) => {
  const left = [...before];
  return now.filter((each) => {
    const at = left.indexOf(each);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
};
const medianOf = (figures: readonly number[]) => figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)]!;
const rssMbOf = (pid: number) =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024);
const serviceOf = (name: string, port: number, policy: string, latency = '5ms') =>
  `  - { name: ${name}, target: { port: ${port} }, slo: { latency: ${latency} }, policy: ${policy} }\n`;
const configOf = (...services: string[]) => `# kept\nservices:\n${services.join('')}telemetry: { metrics: off }\n`;

const changes = async () => (await bench.client.status()).changes;
const lastTick = async () => (await bench.client.status()).last!;
const levelOf = (tick: TickReport, service = 'cache') =>
  tick.services.find((report) => report.service === service)?.decision.level;
const atLevel = (level: number, service?: string) =>
  until(`level ${level} governs`, async () => levelOf(await lastTick(), service) === level);

/** Sends requests, one after the other, until it is told to end. */
async function load(port: number) {
  const client = await RawClient.connect(port);
  let going = true;
  let requests = 0;
  const done = (async () => {
    while (going) {
      await client.exchange(PING, PONG_BYTES);
      requests++;
      await sleep(1);
    }
    await client.close();
  })();
  return {
    end: async () => {
      going = false;
      await done;
      return requests;
    },
  };
}

describe('a policy on a running daemon', () => {
  it('is swapped when its file is edited, renamed over, or reached by a link that is set anew, time and again', async () => {
    bench = new Bench(configOf(serviceOf('cache', redis.port, 'mounted/policy.yaml')));
    // As Kubernetes mounts a ConfigMap: policy.yaml → ..data/policy.yaml, ..data → ..1
    const mount = join(bench.folder, 'mounted');
    const publish = (version: number, level: number) => {
      mkdirSync(join(mount, `..${version}`));
      writeFileSync(join(mount, `..${version}`, 'policy.yaml'), fixedAt(level));
      symlinkSync(`..${version}`, join(mount, '..data_tmp'));
      renameSync(join(mount, '..data_tmp'), join(mount, '..data'));
      if (version > 1) rmSync(join(mount, `..${version - 1}`), { recursive: true });
    };
    mkdirSync(mount);
    publish(1, 0.9);
    symlinkSync('..data/policy.yaml', join(mount, 'policy.yaml'));
    bench.start();
    await bench.governing();
    await atLevel(0.9);
    for (let version = 2; version <= 5; version++) {
      publish(version, 1 - version / 10);
      await atLevel(1 - version / 10);
    }
    writeFileSync(join(mount, '..data/policy.yaml'), fixedAt(0.33));
    await atLevel(0.33);
    rmSync(join(mount, 'policy.yaml'));
    writeFileSync(join(mount, 'policy.yaml'), fixedAt(0.44));
    await atLevel(0.44);
    writeFileSync(join(mount, 'new'), fixedAt(0.55));
    renameSync(join(mount, 'new'), join(mount, 'policy.yaml'));
    await atLevel(0.55);
    expect(await changes()).toMatchObject({ refusal: null, refused: 0 });
  });

  it('stays when its file goes bad, which is said once and shown, and follows the file when it is good again', async () => {
    bench = new Bench(configOf(serviceOf('cache', redis.port, 'policy.yaml')));
    const policy = join(bench.folder, 'policy.yaml');
    writeFileSync(policy, fixedAt(0.7));
    const daemon = bench.start();
    await bench.governing();
    await atLevel(0.7);
    writeFileSync(policy, 'controller: fixed\nparameters: { level: 7 }\n');
    await until('the file is refused', async () => (await changes()).refused === 1);
    expect((await changes()).refusal!.problems).toEqual([`${policy}:2:22: 7 given, expected at most 1`]);
    expect(tailgov('status', '--runtime', bench.runtime).stdout).toMatch(
      /the files are bad[^]*policy\.yaml:2:22[^]*level +0\.\d+ by fixed: fixed at 70 %/,
    );
    // Longer than a poll: the same bad text is not news.
    await sleep(2500);
    expect((await changes()).refused).toBe(1);
    expect(daemon.output().split('7 given, expected at most 1')).toHaveLength(2);
    expect(levelOf(await lastTick())).toBe(0.7);
    rmSync(policy);
    await until('the absent file is refused', async () => (await changes()).refused === 2);
    writeFileSync(policy, fixedAt(0.6));
    await atLevel(0.6);
    expect((await changes()).refusal).toBeNull();
  });

  it('is swapped over the control socket until a restart, or for good', async () => {
    bench = new Bench(configOf(serviceOf('cache', redis.port, 'policy.yaml # why')));
    writeFileSync(bench.config, readFileSync(bench.config, 'utf8').replace(' }\ntel', '\n    }\ntel'));
    writeFileSync(join(bench.folder, 'policy.yaml'), fixedAt(0.7));
    const other = join(bench.folder, 'other.yaml');
    writeFileSync(other, fixedAt(0.5));
    bench.start();
    await bench.governing();
    const swap = (...args: string[]) => tailgov('policy', 'swap', ...args, '--runtime', bench.runtime);
    expect(swap('cache', other)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('until a restart') as string,
    });
    await atLevel(0.5);
    expect((await changes()).policies).toMatchObject([{ service: 'cache', file: other, lasts: false }]);
    // Its file is followed, too.
    writeFileSync(other, fixedAt(0.45));
    await atLevel(0.45);
    expect(swap('web', other)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('expected cache') as string,
    });
    writeFileSync(join(bench.folder, 'bad.yaml'), 'controller: none\n');
    expect(swap('cache', join(bench.folder, 'bad.yaml'))).toMatchObject({ status: 2 });
    expect(swap('cache', other, '--persist')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('lasts past a restart') as string,
    });
    const text = readFileSync(bench.config, 'utf8');
    expect(text).toContain('# kept\n');
    expect(text).toContain('policy: other.yaml # why');
    expect((await changes()).policies).toMatchObject([{ file: other, lasts: true }]);
    expect(levelOf(await lastTick())).toBe(0.45);
  });
});

describe('a thousand swaps under load', () => {
  const SWAPS = 1000;
  const BATCH = 100;
  /** Heaps are collected when they have grown, not when a test looks: less than 40 KB a swap is no growth. */
  const LEAK_MB = 20;

  it('miss no tick, and leave neither a descriptor nor memory behind', { timeout: 180_000 }, async () => {
    bench = new Bench(configOf(serviceOf('cache', redis.port, 'policy.yaml')));
    writeFileSync(join(bench.folder, 'policy.yaml'), fixedAt(0.7));
    // A policy of each kind that leaves the most behind: formulas are compiled, loops have state.
    const policies = ['controller: pid\n', fixedAt(0.5), expression(0.6)].map((text, index) => {
      const file = join(bench.folder, `policy-${index}.yaml`);
      // A tick that a busy machine delays is not one that a swap has cost.
      writeFileSync(file, `${text}interval: 1s\n`);
      return file;
    });
    const { pid } = bench.start().process;
    await bench.governing();
    const traffic = await load(redis.port);
    const swap = async (times: number) => {
      for (let time = 0; time < times; time++) {
        await bench.client.swapPolicy('cache', policies[time % policies.length]!, false);
      }
    };
    await swap(BATCH);
    // A round of looks at everything, after which files of the tick and of the server's process stay open.
    const { count } = (await bench.client.status()).ticks;
    await until('all is open that stays open', async () => (await bench.client.status()).ticks.count >= count + 3);
    // The sensor's walk over connections is linked when a read first finds something in flight, and stays so.
    const before = { open: [...openIn(pid!), 'anon_inode:bpf_link'], ticks: (await bench.client.status()).ticks };
    const rssMb: number[] = [];
    for (let done = 0; done < SWAPS; done += BATCH) {
      await swap(BATCH);
      rssMb.push(rssMbOf(pid!));
    }
    const { ticks, changes } = await bench.client.status();
    expect(changes).toMatchObject({ refused: 0 });
    expect(changes.made).toBeGreaterThanOrEqual(SWAPS);
    expect(ticks.count).toBeGreaterThan(before.ticks.count);
    expect(ticks.missed - before.ticks.missed).toBe(0);
    expect(ticks.faults).toBe(before.ticks.faults);
    expect(await traffic.end()).toBeGreaterThan(0);
    await expect.poll(() => openedSince(before.open, openIn(pid!)), { timeout: 30_000 }).toEqual([]);
    const half = rssMb.length / 2;
    const growthMb = medianOf(rssMb.slice(half)) - medianOf(rssMb.slice(0, half));
    expect(growthMb, `RSS in MB: ${rssMb.join(' ')}`).toBeLessThan(LEAK_MB);
  });
});

describe('a config on a running daemon', () => {
  it('is followed when an objective changes, a service comes and goes, and at SIGHUP', async () => {
    const second = await startRedis();
    try {
      bench = new Bench(configOf(serviceOf('cache', redis.port, 'policy.yaml')));
      writeFileSync(join(bench.folder, 'policy.yaml'), fixedAt(0.7));
      writeFileSync(join(bench.folder, 'second.yaml'), fixedAt(0.8));
      const daemon = bench.start();
      await bench.governing();
      const traffic = await load(redis.port);
      await until('requests are seen', async () => (await lastTick()).services[0]!.compliance.requests > 50);

      const before = (await lastTick()).services[0]!.compliance.requests;
      writeFileSync(
        bench.config,
        configOf(serviceOf('cache', redis.port, 'policy.yaml'), serviceOf('second', second.port, 'second.yaml', '2ms')),
      );
      await atLevel(0.8, 'second');
      // What is known of the first service is kept.
      expect((await lastTick()).services[0]!.compliance.requests).toBeGreaterThan(before);
      const moreTraffic = await load(second.port);
      await until('the second is measured', async () => (await lastTick()).services[1]!.snapshot.requests > 0);
      await until('the first is still measured', async () => (await lastTick()).services[0]!.snapshot.requests > 0);

      writeFileSync(
        bench.config,
        configOf(serviceOf('cache', redis.port, 'policy.yaml', '1us'), serviceOf('second', second.port, 'second.yaml')),
      );
      daemon.process.kill('SIGHUP');
      await until('the new objective is missed', async () => {
        const { slo, snapshot } = (await lastTick()).services[0]!;
        return slo.latencyNs === 1000 && snapshot.overSlo > 0;
      });

      await moreTraffic.end();
      writeFileSync(bench.config, configOf(serviceOf('cache', redis.port, 'policy.yaml')));
      await until('the second is gone', async () => (await lastTick()).services.length === 1);
      await until('the first is still measured', async () => (await lastTick()).services[0]!.snapshot.requests > 0);
      await traffic.end();
      expect(await changes()).toMatchObject({ refused: 0, refusal: null });
      expect((await bench.client.status()).ticks.faults).toBe(0);
    } finally {
      await second.stop();
    }
  });

  it('says what waits for a restart', async () => {
    bench = new Bench(configOf(serviceOf('cache', redis.port, 'policy.yaml')));
    writeFileSync(join(bench.folder, 'policy.yaml'), fixedAt(0.7));
    bench.start();
    await bench.governing();
    writeFileSync(bench.config, `${readFileSync(bench.config, 'utf8')}runtimeDirectory: /tmp/elsewhere\n`);
    await until('it is noticed', async () => (await changes()).needsRestart.includes('runtimeDirectory'));
    expect((await changes()).made).toBe(1);
  });
});
