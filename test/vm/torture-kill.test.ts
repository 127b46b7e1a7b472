/** SIGKILL at random instants of a daemon that governs the real acpi-cpufreq driver, whose files are compared one by one afterwards. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compileScriptedServer } from '../kernel/support/servers.ts';
import { figure, random, SEED, tries } from '../torture/tries.ts';
import { GuestFolder } from './support/guest-folder.ts';

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

let folder: GuestFolder;
beforeAll(() => {
  folder = new GuestFolder('kill');
  folder.addProgram();
  compileScriptedServer(join(folder.path, 'scripted-server'));
  folder.write('tailgov.yaml', CONFIG);
  folder.write('policy.yaml', POLICY);
}, 240_000);
afterAll(() => folder.remove());

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
    folder.write('plan', plan.join(''));
    const guest = await folder.boot({ timeoutMs: LIMIT_MS });
    const lines = folder.seen('tries').split('\n');
    const context = `seed ${SEED}\n${folder.whatHappened(guest, 'tries')}`;
    expect(guest.status, context).toBe(0);
    expect(folder.seen('original')).toContain('policy1/scaling_max_freq 2800000');
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
