/**
 * The CPUs of services under a real systemd: AllowedCPUs of a unit, and the cpuset of a control group that systemd has delegated,
 * written from inside the sandbox of the package's unit.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GuestResult } from './boot-guest.ts';
import { GuestFolder, WORK_OR_REST } from './support/guest-folder.ts';

const CONFIG = `services:
  - name: echo
    target: { port: 7413 }
    slo: { quantile: p99, latency: 10s, window: 1min }
    cores: { min: 1 }
    policy: policy.yaml
  - name: batch
    target: { port: 7414 }
    slo: { quantile: p99, latency: 10s, window: 1min }
    cores: { min: 1 }
    policy: policy.yaml
planner: { strategy: cores }
telemetry: { metrics: off, powerModel: off }
`;

/** As docs/install.md has it. */
const SUBTREE = `[Service]
ReadWritePaths=-/sys/fs/cgroup/system.slice/batch.service
`;

/** About two minutes on an idle machine. */
const GUEST_LIMIT_MS = 900_000;

let folder: GuestFolder;
let guest: GuestResult;
const controls = (step: string) => folder.controls(step);

beforeAll(async () => {
  folder = new GuestFolder('service-cores');
  folder.addPackage();
  folder.write('tailgov.yaml', CONFIG);
  folder.write('policy.yaml', WORK_OR_REST);
  folder.write('subtree.conf', SUBTREE);
  guest = await folder.boot({ smp: 2, systemd: true, timeoutMs: GUEST_LIMIT_MS });
}, GUEST_LIMIT_MS + 240_000);

afterAll(() => folder.remove());

const ALL = { 'echo-threads': '0-1', 'batch-threads': '0-1', 'echo.service': '0-1', 'batch.service/work': '0-1' };

describe('CPUs of services under a real systemd', () => {
  it('sees every step of the script come true', () => {
    expect(guest.status, folder.whatHappened(guest)).toBe(0);
    expect(controls('original')).toMatchObject({ ...ALL, property: '' });
  });

  it('sets AllowedCPUs from inside the unit’s sandbox, and follows the load', () => {
    const { property } = controls('quiet');
    expect(['0', '1']).toContain(property);
    expect(controls('quiet')).toMatchObject({ 'echo.service': property, 'echo-threads': property });
    expect(controls('busy')).toMatchObject({ property: '0-1', 'echo.service': '0-1', 'echo-threads': '0-1' });
    expect(folder.logOf('shipped')).toContain('governing the CPUs of echo by AllowedCPUs of echo.service (unit)');
  });

  it('may not write the cpuset of a delegated group there, says so, and governs the rest', () => {
    const { last } = JSON.parse(folder.seen('shipped.json')) as { last: { applied: { cpus: readonly unknown[] } } };
    expect(last.applied.cpus).toContainEqual(
      expect.objectContaining({
        service: 'batch',
        method: 'cgroup2',
        outcome: 'refused',
        detail: expect.stringMatching(/EROFS/) as string,
      }),
    );
    expect(controls('quiet')).toMatchObject({ 'batch-threads': '0-1' });
  });

  it('gives the unit its CPUs back when it stops', () => {
    expect(controls('stopped')).toMatchObject(ALL);
  });

  it.each(['subtree', 'whole'])('with the drop-in for %s it writes the delegated group’s cpuset, too', (step) => {
    const { 'batch.service/work': batch, 'echo.service': echo } = controls(step);
    expect([batch, echo].sort()).toEqual(['0', '1']);
    expect(controls(step)).toMatchObject({ 'batch-threads': batch, 'echo-threads': echo, property: echo });
    expect(controls(`${step}-stopped`)).toMatchObject(ALL);
  });

  it('is restored by ExecStopPost after a SIGKILL of all its processes', () => {
    expect(controls('after-signal')).toMatchObject(ALL);
  });

  it('is restored by the command where nobody else is left, to the CPUs that the operator had given', () => {
    const narrowed = controls('by-hand')['batch.service/work'];
    expect(['0', '1']).toContain(narrowed);
    expect(controls('killed')).toEqual(controls('by-hand'));
    expect(controls('restored')).toMatchObject({
      ...ALL,
      property: '0',
      'echo.service': '0',
      'echo-threads': '0',
    });
    expect(folder.seen('restore')).toMatch(/^restored +fs\/cgroup\/system\.slice\/batch\.service\/work\/cpuset\.cpus/m);
  });
});
