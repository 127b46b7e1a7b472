/**
 * The daemon in the guest with a real server: fentry sensor, real acpi-cpufreq, real cpuset of version 2. Load comes and goes, a
 * CPU too; at the end the daemon is killed. It shows what is written and that all comes back, never speed or energy.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bootGuest, type GuestResult } from './boot-guest.ts';
import { bundleForGuest } from './bundle-for-guest.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Full speed for work, least without: the guest's latency means nothing. */
const POLICY = `controller: expression
interval: 200ms
parameters: { level: "1", idleAfter: 1s }
level: { min: 0.1, max: 1 }
`;

const CONFIG = `services:
  - name: echo
    target: { port: 7412 }
    slo: { quantile: p99, latency: 10s, window: 1min }
    cores: { min: 1, reserved: [0] }
    policy: policy.yaml
planner: { strategy: pack }
telemetry: { metrics: off, powerModel: off }
`;

/** About a minute on an idle machine. */
const GUEST_LIMIT_MS = 480_000;

let folder: string;
let guest: GuestResult;

const seen = (name: string) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8').trim() : '');
/** By control: what it showed in a step. */
const controls = (step: string): ReadonlyMap<string, string> =>
  new Map(
    seen(step)
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
  );
const ECHO = '/sys/fs/cgroup/batch/echo/cpuset.cpus.effective';
const maxOf = (step: string, policy: number) => Number(controls(step).get(`policy${policy}/scaling_max_freq`));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-under-load-'));
  chmodSync(folder, 0o755);
  cpSync(join(import.meta.dirname, 'guest/daemon'), folder, { recursive: true });
  execFileSync(process.execPath, [join(ROOT, 'deploy/build.mjs'), 'bpf', 'bundle'], { stdio: 'pipe' });
  await bundleForGuest(join(import.meta.dirname, 'guest/answer-cpusets.ts'), folder);
  writeFileSync(join(folder, 'tailgov.yaml'), CONFIG);
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  writeFileSync(join(folder, 'program'), join(ROOT, 'dist/cli.js'));
  guest = await bootGuest({ folder, smp: 4, timeoutMs: GUEST_LIMIT_MS });
}, GUEST_LIMIT_MS + 240_000);

afterAll(() => rmSync(folder, { recursive: true }));

describe('the daemon under load, on real controls', () => {
  it('sees every step of the script come true', () => {
    const logs = ['in-vain', 'daemon.log', 'server.log', 'quiet'].map((name) => `${name}:\n${seen(name)}`).join('\n');
    expect(guest.status, `${guest.console}\n${logs}`).toBe(0);
    expect(seen('daemon.log')).toContain('by fs/cgroup/batch/echo/cpuset.cpus (cgroup2)');
  });

  it('frequency and cores follow the load, and the reserved CPU is never given', () => {
    expect(controls('quiet').get(ECHO)).toBe('1');
    expect(maxOf('quiet', 1)).toBe(1_200_000);
    expect(controls('busy').get(ECHO)).toBe('1-3');
    expect(maxOf('busy', 2)).toBe(3_200_000);
    expect(controls('quiet-again').get(ECHO)).toBe('1');
  });

  it('is never faster than the operator allows', () => {
    expect(maxOf('busy', 1)).toBe(2_800_000);
  });

  it('goes on to another CPU when one is unplugged, and takes it again when it is back', () => {
    expect(controls('unplugged').get(ECHO)).toBe('2');
    expect(controls('replugged').get(ECHO)).toBe('1-3');
  });

  it('shows the CPUs in its status', () => {
    const { last } = JSON.parse(seen('status.json')) as { last: { applied: { cpus: readonly unknown[] } } };
    expect(last.applied.cpus).toEqual([
      expect.objectContaining({ service: 'echo', method: 'cgroup2', appliedCpus: [1] }),
    ]);
  });

  it('killed, it leaves every control with its original effect', () => {
    expect(seen('restored')).toBe(seen('original'));
    expect(seen('original')).toMatch(/^sleep 3$/m);
    expect(seen('left-behind')).not.toContain('journal');
  });

  it('the kernel’s cpusets answer as the mock does', () => {
    const answers = JSON.parse(seen('cpuset-answers.json')) as { name: string; differing: readonly string[] }[];
    expect(answers.length).toBeGreaterThan(0);
    expect(answers.filter(({ differing }) => differing.length > 0)).toEqual([]);
  });
});
