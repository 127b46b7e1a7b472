/**
 * The CPUs of services under a real systemd: AllowedCPUs of a unit, and the cpuset of a control group that systemd has delegated,
 * written from inside the sandbox of the package's unit.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bootGuest, type GuestResult } from './boot-guest.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Every CPU for work, one without: the guest's latency means nothing. */
const POLICY = `controller: expression
interval: 200ms
parameters: { level: "1", idleAfter: 1s }
level: { min: 0.1, max: 1 }
`;
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

/** On top of the unit: a record of what systemd does with it, and all the time that an emulated machine may need. */
const RECORD = `[Service]
StandardOutput=append:/vm/daemon.log
StandardError=append:/vm/daemon.log
ReadWritePaths=/vm
TimeoutStartSec=infinity
TimeoutStopSec=120s
ExecStopPost=/bin/sh -c 'sh /vm/controls.sh >/vm/after-$$SERVICE_RESULT'
`;
/** As docs/install.md has it. */
const SUBTREE = `[Service]
ReadWritePaths=-/sys/fs/cgroup/system.slice/batch.service
`;

/** About two minutes on an idle machine. */
const GUEST_LIMIT_MS = 900_000;

let folder: string;
let guest: GuestResult;

const seen = (name: string) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8').trim() : '');
/** What the controls showed in a step, by name. */
const controls = (step: string): Record<string, string> =>
  Object.fromEntries(
    seen(step)
      .split('\n')
      .map((line) => [line.split(' ')[0]!, line.split(' ').slice(1).join(' ').trim()]),
  );
const logOf = (step: string) => new RegExp(`^== ${step}$([^]*?)(?:^== |(?![^]))`, 'm').exec(seen('daemon.log'))![1]!;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-service-cores-'));
  chmodSync(folder, 0o777);
  cpSync(join(import.meta.dirname, 'guest/service-cores'), folder, { recursive: true });
  const script = join(ROOT, 'deploy/package-deb.mjs');
  const file = execFileSync(process.execPath, [script, '--out', folder], { encoding: 'utf8' }).trim();
  cpSync(file, join(folder, 'tailgov.deb'));
  writeFileSync(join(folder, 'tailgov.yaml'), CONFIG);
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  writeFileSync(join(folder, 'subtree.conf'), SUBTREE);
  mkdirSync(join(folder, 'units/tailgov.service.d'), { recursive: true });
  writeFileSync(join(folder, 'units/tailgov.service.d/record.conf'), RECORD);
  guest = await bootGuest({ folder, smp: 2, systemd: true, timeoutMs: GUEST_LIMIT_MS });
}, GUEST_LIMIT_MS + 240_000);

afterAll(() => rmSync(folder, { recursive: true }));

const ALL = { 'echo-threads': '0-1', 'batch-threads': '0-1', 'echo.service': '0-1', 'batch.service/work': '0-1' };

describe('CPUs of services under a real systemd', () => {
  it('sees every step of the script come true', () => {
    const logs = ['in-vain', 'steps', 'server.log', 'daemon.log'].map((name) => `${name}:\n${seen(name)}`).join('\n');
    expect(guest.status, `${guest.console}\n${logs}`).toBe(0);
    expect(controls('original')).toMatchObject({ ...ALL, property: '' });
  });

  it('sets AllowedCPUs from inside the unit’s sandbox, and follows the load', () => {
    const { property } = controls('quiet');
    expect(['0', '1']).toContain(property);
    expect(controls('quiet')).toMatchObject({ 'echo.service': property, 'echo-threads': property });
    expect(controls('busy')).toMatchObject({ property: '0-1', 'echo.service': '0-1', 'echo-threads': '0-1' });
    expect(logOf('shipped')).toContain('governing the CPUs of echo by AllowedCPUs of echo.service (unit)');
  });

  it('may not write the cpuset of a delegated group there, says so, and governs the rest', () => {
    const { last } = JSON.parse(seen('shipped.json')) as { last: { applied: { cpus: readonly unknown[] } } };
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
    expect(seen('restore')).toMatch(/^restored +fs\/cgroup\/system\.slice\/batch\.service\/work\/cpuset\.cpus/m);
  });
});
