import { closeSync, copyFileSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Histogram } from '../../src/core/histogram.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { trendOf } from '../torture/trend.ts';
import { figure, random, SEED, tries } from '../torture/tries.ts';
import { ANY_PORT, Bench, configOf } from './support/daemon.ts';
import { RawClient } from './support/raw-client.ts';
import { ScriptedServers, type Server } from './support/servers.ts';

/** The shortest that a policy may have. */
const INTERVAL_MS = 10;
const SECONDS = tries(30, 3600);
/** The heaps take their size, and the telemetry fills its histories: what grows then is no leak. */
const WARM_UP_SHARE = 0.3;
/** What 30 s cannot tell from noise; an hour can, and its figure is shown. */
const MOST_GROWTH_KB = 24 * 1024;
const MOST_REQUESTS_A_BURST = 40;

let scripted: ScriptedServers;
let server: Server;
let bench: Bench;
beforeAll(async () => {
  scripted = new ScriptedServers();
  server = await scripted.start('r1 s1');
});
afterEach(() => bench.close());
afterAll(async () => {
  await server.stop();
  scripted.remove();
});

const rssKb = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
const countIn = (pid: number, kind: 'fd' | 'task') => readdirSync(`/proc/${pid}/${kind}`).length;

/** As a CPU's driver leaves it, and comes back. Neither file is ever empty or half written: a kernel's are not. */
function plug(online: boolean): void {
  const cpu = join(bench.sysfs, 'devices/system/cpu');
  overwrite(join(cpu, 'cpufreq/policy7/affected_cpus'), online ? '7\n' : '\n\n');
  overwrite(join(cpu, 'online'), online ? '0-7\n' : '0-6\n');
}

/** @param text as long as what it takes the place of */
function overwrite(path: string, text: string): void {
  const file = openSync(path, 'r+');
  writeSync(file, text);
  closeSync(file);
}

/** Requests in bursts of a random size, with pauses now and then. */
async function load(dice: () => number, ended: () => boolean): Promise<number> {
  const client = await RawClient.connect(server.port);
  let sent = 0;
  while (!ended()) {
    const busy = dice() < 0.8;
    const burst = Math.ceil(dice() * MOST_REQUESTS_A_BURST);
    for (let round = 0; round < 20 && !ended(); round++) {
      for (let at = 0; busy && at < burst; at++, sent++) await client.exchange('x', 1);
      await sleep(25);
    }
  }
  await client.close();
  return sent;
}

describe('a daemon that lives long', () => {
  it(
    'at the shortest interval, among swaps, reloads, hotplug and changing load, keeps its size and its descriptors',
    { timeout: SECONDS * 3_000 + 60_000 },
    async () => {
      const dice = random(SEED);
      bench = new Bench('');
      const policies = ['pid', 'threshold', 'utilization', 'model'].map((name) => bench.hasten(name, INTERVAL_MS));
      // What a swap names is written into no file; a reload goes back to this one.
      const current = join(bench.folder, 'policy.yaml');
      copyFileSync(policies[0]!, current);
      bench.configure(configOf({ port: server.port, policy: current }, ANY_PORT));
      const original = bench.controls();
      const daemon = bench.start();
      const pid = daemon.process.pid!;
      await bench.governing();

      let over = false;
      const loading = load(dice, () => over);
      const late = new Histogram();
      const took = new Histogram();
      const sizesKb: number[] = [];
      const descriptors: number[] = [];
      let [ticks, faults, seen, swaps, reloads, plugs] = [0, 0, -1, 0, 0, 0];
      const metrics = `${(await bench.client.status()).metrics!}/metrics`;
      for (let second = 0; second < SECONDS; second++) {
        await sleep(1000);
        sizesKb.push(rssKb(pid));
        descriptors.push(countIn(pid, 'fd'));
        for (const report of await bench.client.ticksAfter(seen)) {
          late.record(report.lateMs * NS_PER_MS);
          took.record(report.tookMs * NS_PER_MS);
          faults += report.faults.length;
          seen = report.tick;
        }
        if (second % 3 === 0) await bench.client.swapPolicy('echo', policies[swaps++ % policies.length]!, false);
        if (second % 10 === 5) {
          copyFileSync(policies[reloads++ % policies.length]!, current);
          daemon.process.kill('SIGHUP');
        }
        if (second % 2 === 1) plug(plugs++ % 2 === 1);
        if (second % 5 === 0) expect((await fetch(metrics)).status).toBe(200);
      }
      plug(true);
      const status = await bench.client.status();
      ticks = status.ticks.count;
      const tasks = countIn(pid, 'task');
      await sleep(1000);
      over = true;
      const sent = await loading;

      expect(daemon.process.exitCode, daemon.output()).toBeNull();
      daemon.process.kill('SIGTERM');
      expect(await daemon.exited, daemon.output()).toBe(0);
      expect(bench.controls()).toEqual(original);
      rmSync(current);

      const warm = Math.floor(SECONDS * WARM_UP_SHARE);
      const middle = Math.floor((SECONDS + warm) / 2);
      // Each half saw the CPU gone and there.
      const descriptorsGrown = Math.max(...descriptors.slice(middle)) - Math.max(...descriptors.slice(warm, middle));
      const size = trendOf(sizesKb.slice(warm));
      const ms = (of: Histogram, quantile: number) => Number((of.quantileNs(quantile) / NS_PER_MS).toFixed(3));
      figure('soak of a real daemon in real time', {
        seconds: SECONDS,
        intervalMs: INTERVAL_MS,
        ...{ ticks, missed: status.ticks.missed, faults, swaps, reloads, plugs, sent, tasks },
        rssKb: sizesKb.at(-1)!,
        rssGrownKb: Math.round(size.grown),
        rssPlusMinusKb: Math.round(size.plusMinus),
        descriptors: descriptors.at(-1)!,
        descriptorsGrown,
        lateMs: JSON.stringify([0.5, 0.9, 0.99, 0.999].map((quantile) => ms(late, quantile))),
        lateMaxMs: ms(late, 1),
        tookMs: JSON.stringify([0.5, 0.99, 0.999].map((quantile) => ms(took, quantile))),
      });
      expect(faults).toBe(0);
      expect(ticks).toBeGreaterThan(0);
      expect(sent).toBeGreaterThan(0);
      expect(descriptorsGrown).toBeLessThanOrEqual(4);
      expect(size.grown - Math.min(size.plusMinus, Math.abs(size.grown))).toBeLessThan(MOST_GROWTH_KB);
    },
  );
});
