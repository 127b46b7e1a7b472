import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { figure, patienceMs, random, SEED, tries } from '../torture/tries.ts';
import { Bench, readyPolicy, startTailgov, tailgov, until } from './support/daemon.ts';
import { echoService } from './support/echo-service.ts';

const TRIES = tries(6, 1000);
const EACH_MS = 3_000;
/** It takes an hour or more: what was tried so far is shown meanwhile. */
const SHOWN_EVERY = 50;

/** What the daemon does when it is killed. */
const PHASES = ['start', 'governing', 'swap', 'stop'] as const;
/** Who puts the controls back. In `broken restore` the guardian is killed at its work, and `tailgov restore` as well, once. */
const WAYS_BACK = ['guardian', 'restore', 'next start', 'broken restore'] as const;

const echo = echoService();
let bench: Bench;
afterEach(() => bench.close());

/** The guardian is the daemon's child in a session of its own. */
function guardianOf(pid: number): number | null {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(Number(name)) === pid);
  return children.length === 0 ? null : Number(children[0]);
}

function parentOf(pid: number): number | null {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return null;
  const stat = readFileSync(path, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

const hasEnded = (pid: number) =>
  !existsSync(`/proc/${pid}`) || / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

function kill(pid: number): void {
  if (!hasEnded(pid)) process.kill(pid, 'SIGKILL');
}

/** Brings a daemon to a random instant of the phase, and stops it there: what it would do next it never does. */
async function stopAt(phase: (typeof PHASES)[number], daemon: ChildProcess, random: () => number): Promise<void> {
  if (phase === 'start') {
    await sleep(random() * 900);
  } else {
    await bench.governing(60_000);
    await sleep(random() * 400);
    if (phase === 'swap') {
      // Its answer may never come.
      void bench.client.swapPolicy('echo', readyPolicy('threshold'), false).catch(() => null);
      await sleep(random() * 60);
    }
    if (phase === 'stop') {
      daemon.kill('SIGTERM');
      await sleep(random() * 120);
    }
  }
  if (!hasEnded(daemon.pid!)) daemon.kill('SIGSTOP');
}

describe('a daemon that is killed at a random instant', () => {
  it(
    'has every control put back, with the guardian alive and without',
    { timeout: patienceMs(TRIES, EACH_MS) },
    async () => {
      const dice = random(SEED);
      bench = new Bench(echo.config());
      const original = bench.controls();
      const journal = join(bench.runtime, 'journal');
      const tally: Record<string, number> = {};
      let changed = 0;
      for (let at = 0; at < TRIES; at++) {
        const phase = PHASES[at % PHASES.length]!;
        const way = WAYS_BACK[Math.floor(dice() * WAYS_BACK.length)]!;
        const what = `try ${at} of seed ${SEED}: killed in ${phase}, back by ${way}`;
        tally[phase] = (tally[phase] ?? 0) + 1;
        tally[way] = (tally[way] ?? 0) + 1;
        const { process: daemon, exited, output } = bench.start();
        await stopAt(phase, daemon, dice);
        const guardian = guardianOf(daemon.pid!);
        const alone = way === 'restore' || way === 'next start';
        if (alone && guardian !== null) kill(guardian);
        daemon.kill('SIGKILL');
        await exited;
        if (JSON.stringify(bench.controls()) !== JSON.stringify(original)) changed += 1;
        if (way === 'guardian' && guardian !== null) {
          await until('the guardian has ended', () => hasEnded(guardian));
        } else if (way === 'next start') {
          const next = bench.start('--duration', '10ms');
          expect(await next.exited, `${what}\n${next.output()}`).toBe(0);
        } else {
          if (way === 'broken restore') {
            await sleep(dice() * 300);
            if (guardian !== null) kill(guardian);
            const broken = startTailgov('restore', '--runtime', bench.runtime);
            await sleep(dice() * 300);
            kill(broken.process.pid!);
          }
          const restored = tailgov('restore', '--runtime', bench.runtime);
          expect(restored.status, `${what}\n${restored.stdout}${restored.stderr}`).toBe(0);
        }
        expect(bench.controls(), `${what}\n${output()}`).toEqual(original);
        expect(existsSync(journal), what).toBe(false);
        rmSync(join(bench.runtime, 'control.sock'), { force: true });
        if ((at + 1) % SHOWN_EVERY === 0 || at + 1 === TRIES) {
          const attack = 'killed at a random instant, real daemon on a mock on disk';
          figure(attack, { tries: at + 1, of: TRIES, seed: SEED, changed, ...tally });
        }
      }
    },
  );
});
