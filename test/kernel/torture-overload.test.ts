import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Histogram } from '../../src/core/histogram.ts';
import type { ServiceReport } from '../../src/core/tick-report.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { figure, tries } from '../torture/tries.ts';
import { ANY_PORT, Bench, configOf, until } from './support/daemon.ts';
import { ScriptedServers, type Server } from './support/servers.ts';

const SECONDS = tries(3, 60);
const BUSY_A_CPU = 4;
/** Who gets no CPU takes long to answer what it is asked. */
const STARVED_PATIENCE_MS = 120_000;
const CROWD_EVERY_MS = 5000;

let scripted: ScriptedServers;
let server: Server;
let bench: Bench;
const ends: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  scripted = new ScriptedServers();
  server = await scripted.start('r1 s1');
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await bench.close();
});
afterAll(async () => {
  await server.stop();
  scripted.remove();
});

const config = (intervalMs: number) =>
  configOf({ port: server.port, policy: bench.hasten('pid', intervalMs) }, ANY_PORT);

/** Ordinary processes that never rest. @param cpus where they run, as taskset takes it */
function saturate(count: number, cpus: string): () => Promise<void> {
  const busy = Array.from({ length: count }, () =>
    spawn('setpriv', ['--pdeathsig', 'KILL', 'taskset', '-c', cpus, process.execPath, '-e', 'for (;;);'], {
      stdio: 'ignore',
    }),
  );
  const end = async () => {
    const alive = busy.filter((each) => each.exitCode === null && each.signalCode === null);
    for (const each of alive) each.kill('SIGKILL');
    await Promise.all(alive.map((each) => once(each, 'exit')));
  };
  ends.push(end);
  return end;
}

const allowedCpus = () => /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]!;

/** Puts every thread of a process on some CPUs, at a nice value. */
function place(pid: number, cpus: string, nice: number): void {
  execFileSync('taskset', ['-a', '-c', '-p', cpus, `${pid}`], { stdio: 'ignore' });
  const threads = readdirSync(`/proc/${pid}/task`);
  execFileSync('renice', ['-n', `${nice}`, '-p', ...threads], { stdio: 'ignore' });
}

describe('a daemon on CPUs that others keep busy', () => {
  it.each(['fifo', 'nice', 'normal'] as const)(
    'ticks on, in the class %s',
    { timeout: SECONDS * 1000 + 120_000 },
    async (scheduling) => {
      bench = new Bench('');
      bench.configure(config(100));
      const original = bench.controls();
      const daemon = bench.start('--scheduling', scheduling);
      await bench.governing();
      const busy = BUSY_A_CPU * availableParallelism();
      saturate(busy, allowedCpus());
      await sleep(500);
      const before = (await bench.client.status()).ticks;
      let seen = before.count - 1;
      const late = new Histogram();
      const took = new Histogram();
      // Who gets little of a CPU ticks late, and may have nothing to tell of in so short a time.
      for (let second = 0; second < SECONDS || late.count === 0; second++) {
        await sleep(1000);
        for (const report of await bench.client.ticksAfter(seen)) {
          late.record(report.lateMs * NS_PER_MS);
          took.record(report.tookMs * NS_PER_MS);
          seen = report.tick;
        }
      }
      const { ticks, state } = await bench.client.status();
      const ms = (of: Histogram) =>
        JSON.stringify([0.5, 0.9, 0.99, 1].map((quantile) => Number((of.quantileNs(quantile) / NS_PER_MS).toFixed(2))));
      figure('saturated CPUs', {
        scheduling,
        busy,
        seconds: SECONDS,
        ticks: ticks.count - before.count,
        missed: ticks.missed - before.missed,
        lateMs: ms(late),
        tookMs: ms(took),
      });
      expect(state).toBe('governing');
      daemon.process.kill('SIGTERM');
      expect(await daemon.exited, daemon.output()).toBe(0);
      expect(bench.controls()).toEqual(original);
    },
  );

  it(
    'that cannot keep time reports less, goes to the highest level, and governs again when it can',
    { timeout: 360_000 },
    async () => {
      bench = new Bench('');
      bench.configure(config(50));
      const original = bench.controls();
      const daemon = bench.start('--scheduling', 'normal');
      await bench.governing();
      const shows = (holds: (service: ServiceReport) => boolean) => async () => {
        const status = await bench.client.status().catch(() => null);
        return status !== null && holds(status.last!.services[0]!);
      };
      const isLow = shows(({ appliedLevel }) => appliedLevel < 0.5);
      const isSafe = shows(
        ({ appliedLevel, decision }) => appliedLevel === 1 && decision.reason.includes('cannot keep time'),
      );
      // Nothing arrives: it goes down.
      await until('the level is low', isLow);
      const cpu = allowedCpus().split(/[,-]/)[0]!;
      place(daemon.process.pid!, cpu, 15);
      // How little is too little depends on how fast the CPU is: it gets less and less.
      const crowd = [saturate(BUSY_A_CPU, cpu)];
      let crowdedAt = Date.now();
      const starves = () => {
        if (daemon.output().includes('cannot keep time')) return true;
        if (Date.now() - crowdedAt > CROWD_EVERY_MS) {
          crowd.push(saturate(BUSY_A_CPU, cpu));
          crowdedAt = Date.now();
        }
        return false;
      };
      await until('it cannot keep time', starves, STARVED_PATIENCE_MS);
      await until('it is at the highest level', isSafe, STARVED_PATIENCE_MS);
      await Promise.all(crowd.map((relieve) => relieve()));
      // Whatever else is busy here.
      place(daemon.process.pid!, allowedCpus(), -10);
      await until('it keeps time again', () => daemon.output().includes('keeps time again'));
      await until('the level is low again', isLow);
      const page = await (await fetch(`${(await bench.client.status()).metrics}/metrics`)).text();
      const unreported = Number(/^tailgov_ticks_unreported_total (\d+)$/m.exec(page)![1]);
      const missed = Number(/^tailgov_ticks_missed_total (\d+)$/m.exec(page)![1]);
      expect(unreported).toBeGreaterThan(0);
      figure('a loop that gets no CPU', { missed, unreported });
      daemon.process.kill('SIGTERM');
      expect(await daemon.exited, daemon.output()).toBe(0);
      expect(bench.controls()).toEqual(original);
    },
  );
});
