/** SIGKILL at random instants of a daemon that governs the real acpi-cpufreq driver, whose files are compared one by one afterwards. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compileScriptedServer } from '../kernel/support/servers.ts';
import { figure, random, SEED, tries } from '../torture/tries.ts';
import { bootGuest } from './boot-guest.ts';

const ROOT = join(import.meta.dirname, '../..');
const TRIES = tries(1, 50);
/** Three to five minutes each were seen on a machine that was very busy. */
const LIMIT_MS = 300_000 + TRIES * 400_000;

/** Up and down with every step: there is always something to write. */
const POLICY = `controller: expression
interval: 200ms
parameters: { level: "applied > 0.6 ? 0.3 : 0.9" }
level: { min: 0.1, max: 1 }
`;
const CONFIG = `services:
  - name: echo
    target: { port: PORT }
    slo: { quantile: p99, latency: 10s, window: 1min }
    policy: policy.yaml
telemetry: { metrics: off, powerModel: off }
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-killed-'));
  chmodSync(folder, 0o755);
  cpSync(join(import.meta.dirname, 'guest/kill'), folder, { recursive: true });
  execFileSync(process.execPath, [join(ROOT, 'deploy/build.mjs'), 'bpf', 'bundle'], { stdio: 'pipe' });
  compileScriptedServer(join(folder, 'scripted-server'));
  writeFileSync(join(folder, 'tailgov.yaml'), CONFIG);
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  writeFileSync(join(folder, 'program'), join(ROOT, 'dist/cli.js'));
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true }));

it(
  'a daemon that is killed on a real driver leaves every control as it was, every time',
  { timeout: LIMIT_MS + 60_000 },
  async () => {
    const dice = random(SEED);
    const phases = ['governing', 'start', 'stop'];
    const plan = Array.from({ length: TRIES }, (_, at) => {
      const way = dice() < 0.7 ? 'guardian' : 'restore';
      return `${phases[at % phases.length]} ${Math.floor(dice() * 1000)} ${way}\n`;
    });
    writeFileSync(join(folder, 'plan'), plan.join(''));
    const guest = await bootGuest({ folder, timeoutMs: LIMIT_MS });
    const seen = (name: string) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8') : '');
    const lines = seen('tries').trim().split('\n');
    const context = `seed ${SEED}\n${seen('tries')}\n${seen('in-vain')}\n${guest.console}`;
    expect(guest.status, context).toBe(0);
    expect(seen('original')).toContain('policy1/scaling_max_freq 2800000');
    expect(lines, context).toHaveLength(TRIES);
    expect(lines.filter((line) => line.split(' ')[3] !== 'restored')).toEqual([]);
    const count = (word: string) => lines.filter((line) => line.includes(word)).length;
    expect(count('changed')).toBeGreaterThan(0);
    const parts = Object.fromEntries([...phases, 'guardian', 'changed'].map((word) => [word, count(word)]));
    figure('killed on a real driver in the guest', {
      tries: TRIES,
      seed: SEED,
      ...parts,
      seconds: Math.round(guest.tookMs / 1000),
    });
  },
);
