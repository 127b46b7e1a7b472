import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GuestResult } from './boot-guest.ts';
import { GuestFolder } from './support/guest-folder.ts';

const CONFIG = `services:
  - name: echo
    target: { port: 7411 }
    slo: { quantile: p99, latency: 2s, window: 1min }
    policy: /usr/share/tailgov/policies/pid.yaml
`;

const RIVAL = `[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
`;

/** The operator's controls, which differ from policy to policy. */
const ORIGINAL = `policy0/scaling_governor conservative
policy0/scaling_min_freq 1200000
policy0/scaling_max_freq 3200000
policy1/scaling_governor powersave
policy1/scaling_min_freq 1200000
policy1/scaling_max_freq 2800000`;

/** About two minutes on an idle machine: Node starts seven times. */
const GUEST_LIMIT_MS = 600_000;

let folder: GuestFolder;
let guest: GuestResult;

const seen = (name: string) => folder.seen(name);
const properties = (name: string): Record<string, string> =>
  Object.fromEntries([...seen(name).matchAll(/^(\w+)=(.*)$/gm)].map(([, property, value]) => [property!, value!]));

beforeAll(async () => {
  folder = new GuestFolder('service');
  folder.addPackage();
  folder.write('tailgov.yaml', CONFIG);
  folder.write('units/power-profiles-daemon.service', RIVAL);
  guest = await folder.boot({ systemd: true, timeoutMs: GUEST_LIMIT_MS });
}, GUEST_LIMIT_MS + 240_000);

afterAll(() => folder.remove());

describe('tailgov.service under systemd, on the real acpi-cpufreq driver', () => {
  it('starts when the loop governs, and says so', () => {
    expect(guest.status, folder.whatHappened(guest)).toBe(0);
    expect(properties('started')).toMatchObject({ ActiveState: 'active', SubState: 'running', NRestarts: '0' });
    expect(properties('started')['StatusText']).toMatch(/^governing/);
    expect(seen('status-text')).toMatch(/^governing: echo p99 .* of 2\.00 s, level \d\.\d\d$/);
  });

  it('writes the real driver’s files from inside its sandbox', () => {
    expect(seen('original')).toBe(ORIGINAL);
    expect(seen('governed')).toMatch(/^policy0\/scaling_governor performance$/m);
    expect(seen('governed')).toMatch(/^policy1\/scaling_governor performance$/m);
    expect(Number(/policy1\/scaling_max_freq (\d+)/.exec(seen('governed'))![1])).toBeLessThan(2_800_000);
  });

  it('has three capabilities, and sees the CPU time of a server of another user with them', () => {
    const [CAP_SYS_NICE, CAP_PERFMON, CAP_BPF] = [23n, 38n, 39n];
    const mask = ((1n << CAP_SYS_NICE) | (1n << CAP_PERFMON) | (1n << CAP_BPF)).toString(16).padStart(16, '0');
    expect(seen('privileges').split(/\s+/)).toEqual([
      'CapEff:',
      mask,
      'CapBnd:',
      mask,
      'NoNewPrivs:',
      '1',
      'Seccomp:',
      '2',
    ]);
    const status = JSON.parse(seen('status.json')) as {
      last: { services: { observation: { utilization: unknown } }[] };
    };
    expect(status.last.services[0]!.observation.utilization).toBeTypeOf('number');
  });

  it('goes on in the same process when it is reloaded', () => {
    expect(properties('reloaded')).toEqual({ ActiveState: 'active', MainPID: properties('started')['MainPID'] });
    expect(folder.logOf('start')).toContain('received SIGHUP');
  });

  it('takes over from a service that wants the same files', () => {
    expect(seen('rival-state')).toBe('inactive');
  });

  it('is restored by ExecStopPost after a SIGKILL of all its processes, and started again', () => {
    expect(seen('after-signal')).toBe(ORIGINAL);
    expect(folder.logOf('kill')).toMatch(/^restored +devices\/system\/cpu\/cpufreq\/policy0\/scaling_max_freq$/m);
  });

  it('is given up by the watchdog when it hangs, restored and started again', () => {
    expect(seen('after-watchdog')).toBe(ORIGINAL);
    expect(folder.logOf('hang')).toMatch(/^restored +devices\/system\/cpu\/cpufreq\/policy0\/scaling_max_freq$/m);
  });

  it('gives way to such a service, with every control put back and nothing left behind', () => {
    expect(properties('stopped')).toEqual({ ActiveState: 'inactive', Result: 'success', ExecMainStatus: '0' });
    expect(seen('after-success')).toBe(ORIGINAL);
    expect(seen('beside-rival')).toBe(ORIGINAL);
    expect(seen('left-behind')).toBe('');
  });
});
