/**
 * The daemon in the guest with a real server: fentry sensor, real acpi-cpufreq, real cpuset of version 2. Load comes and goes, a
 * CPU too; at the end the daemon is killed. It shows what is written and that all comes back, never speed or energy.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GuestResult } from './boot-guest.ts';
import { bundleForGuest } from './bundle-for-guest.ts';
import { GuestFolder, WORK_OR_REST } from './support/guest-folder.ts';

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

let folder: GuestFolder;
let guest: GuestResult;

const seen = (name: string) => folder.seen(name);
const cpusOfEcho = (step: string) => folder.controls(step)['/sys/fs/cgroup/batch/echo/cpuset.cpus.effective'];
const maxOf = (step: string, policy: number) => Number(folder.controls(step)[`policy${policy}/scaling_max_freq`]);

beforeAll(async () => {
  folder = new GuestFolder('daemon');
  folder.addProgram();
  await bundleForGuest(join(import.meta.dirname, 'guest/answer-cpusets.ts'), folder.path);
  folder.write('tailgov.yaml', CONFIG);
  folder.write('policy.yaml', WORK_OR_REST);
  guest = await folder.boot({ smp: 4, timeoutMs: GUEST_LIMIT_MS });
}, GUEST_LIMIT_MS + 240_000);

afterAll(() => folder.remove());

describe('the daemon under load, on real controls', () => {
  it('sees every step of the script come true', () => {
    expect(guest.status, folder.whatHappened(guest, 'quiet')).toBe(0);
    expect(seen('daemon.log')).toContain('by fs/cgroup/batch/echo/cpuset.cpus (cgroup2)');
  });

  it('frequency and cores follow the load, and the reserved CPU is never given', () => {
    expect(cpusOfEcho('quiet')).toBe('1');
    expect(maxOf('quiet', 1)).toBe(1_200_000);
    expect(cpusOfEcho('busy')).toBe('1-3');
    expect(maxOf('busy', 2)).toBe(3_200_000);
    expect(cpusOfEcho('quiet-again')).toBe('1');
  });

  it('is never faster than the operator allows', () => {
    expect(maxOf('busy', 1)).toBe(2_800_000);
  });

  it('goes on to another CPU when one is unplugged, and takes it again when it is back', () => {
    expect(cpusOfEcho('unplugged')).toBe('2');
    expect(cpusOfEcho('replugged')).toBe('1-3');
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
