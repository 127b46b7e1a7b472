import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const UNIT = readFileSync(join(import.meta.dirname, '../../deploy/systemd/tailgov.service'), 'utf8');
const ANALYZE = '/usr/bin/systemd-analyze';
const LEAST_EXPOSED_TENTHS = 20;

/** All values of a setting that may be given several times. */
const words = (setting: string) =>
  [...UNIT.matchAll(new RegExp(`^${setting}=(.*)$`, 'gm'))].flatMap(([, value]) => value!.split(' ').filter(Boolean));

describe('tailgov.service', () => {
  it('is ordered after each of the services that it conflicts with', () => {
    const rivals = words('Conflicts');
    expect(rivals.length).toBeGreaterThan(0);
    expect(words('After')).toEqual(expect.arrayContaining(rivals));
  });

  it('restores after the daemon, and keeps the journal that says how', () => {
    expect(words('ExecStopPost')).toEqual(['tailgov', 'restore']);
    expect(words('RuntimeDirectory')).toEqual(['tailgov']);
    expect(words('RuntimeDirectoryPreserve')).toEqual(['yes']);
  });

  it('gives the daemon the time to give a stuck loop up by itself before the watchdog bites', () => {
    const source = readFileSync(join(import.meta.dirname, '../../src/daemon/run-daemon.ts'), 'utf8');
    const constant = (name: string) =>
      Number(new RegExp(`const ${name} = ([\\d_]+);`).exec(source)![1]!.replace('_', ''));
    const givesUpAfterS = (constant('STUCK_AFTER_CHECKS') * constant('HEARTBEAT_CHECK_MS')) / 1000;
    expect(Number.parseInt(words('WatchdogSec')[0]!)).toBeGreaterThan(givesUpAfterS * 1.5);
    expect(Number.parseInt(words('TimeoutStartSec')[0]!)).toBeGreaterThan(constant('START_LIMIT_MS') / 1000);
  });

  // Where there is no systemd, the guest of test/vm still runs the unit itself.
  if (existsSync(ANALYZE)) describe('for systemd-analyze', analyzed);
});

function analyzed() {
  let folder: string;
  let unit: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tailgov-unit-'));
    unit = join(folder, 'tailgov.service');
    // verify looks for the program; tailgov is not installed here.
    const program = join(folder, 'bin', 'tailgov');
    mkdirSync(join(folder, 'bin'));
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
    writeFileSync(unit, UNIT.replace(/^(Exec\w+=)tailgov /gm, `$1${program} `));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is without fault', () => {
    const { status, stdout, stderr } = spawnSync(ANALYZE, ['verify', '--man=no', unit], { encoding: 'utf8' });
    expect(stdout + stderr).toBe('');
    expect(status).toBe(0);
  });

  it('is exposed by 2.0 at the most', () => {
    const options = ['security', '--offline=true', '--no-pager', `--threshold=${LEAST_EXPOSED_TENTHS}`, unit];
    const { status, stdout } = spawnSync(ANALYZE, options, { encoding: 'utf8' });
    expect(stdout).toMatch(/Overall exposure level for tailgov\.service: [012]\.\d/);
    expect(status, stdout).toBe(0);
  });
}
