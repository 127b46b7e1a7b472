import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startGuardian } from '../../src/actuator/guardian.ts';
import { identityOf } from '../../src/actuator/process-identity.ts';
import { mockDirectory } from '../sysfs/mock-directory.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

const PROGRAM = fileURLToPath(new URL('governed-process.ts', import.meta.url));
const POLICY0 = 'devices/system/cpu/cpufreq/policy0';
/** The shell ignores this one last. */
const ignores = (pid: number, signal: number) => {
  const [, mask] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return (BigInt(`0x${mask}`) >> BigInt(signal - 1)) % 2n === 1n;
};
const WAIT = { timeout: 40_000, interval: 20 };

describe('startGuardian()', { timeout: 90_000 }, () => {
  let mock: ReturnType<typeof mockDirectory>;
  let governed: ChildProcessByStdio<Writable, Readable, null> | undefined;
  beforeEach(() => {
    const guest = shippedMock('acpi-cpufreq-qemu-2c');
    const files = new Map([...guest.files, [`${POLICY0}/scaling_governor`, 'schedutil']]);
    mock = mockDirectory({ ...guest, files });
  });
  afterEach(async () => {
    if (governed?.exitCode === null && governed.signalCode === null) {
      governed.kill('SIGKILL');
      await once(governed, 'exit');
    }
    mock.remove();
  });

  const shows = (file: string) => readFileSync(join(mock.sysfs, POLICY0, file), 'utf8').trim();
  const journalExists = () => existsSync(join(mock.beside, 'run', 'journal'));

  /** @returns the guardian's number, once the controls are taken */
  async function govern(): Promise<number> {
    governed = spawn(process.execPath, ['--import', 'tsx', PROGRAM, mock.sysfs, join(mock.beside, 'run')], {
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const [line] = (await once(governed.stdout, 'data')) as [Buffer];
    expect(shows('scaling_governor')).toBe('performance');
    expect(shows('scaling_max_freq')).toBe('1200000');
    return Number(line.toString());
  }

  it('restores after SIGKILL of the whole process group, deaf to the signals that end others', async () => {
    const guardian = await govern();
    // Its shell has to run first; one that is lost before that is reported to who started it.
    await vi.waitFor(() => expect(ignores(guardian, constants.signals.SIGHUP)).toBe(true), WAIT);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(guardian, signal);
    expect(journalExists()).toBe(true);
    process.kill(-governed!.pid!, 'SIGKILL');
    await vi.waitFor(() => expect(journalExists()).toBe(false), WAIT);
    expect(shows('scaling_governor')).toBe('schedutil');
    expect(shows('scaling_max_freq')).toBe('3200000');
    await vi.waitFor(() => expect(identityOf(guardian)).toBeNull(), WAIT);
  });

  it('goes without a word when it is dismissed, and does not keep its process alive', async () => {
    const guardian = await govern();
    governed!.stdin.write('go\n');
    await once(governed!, 'exit');
    expect(shows('scaling_max_freq')).toBe('3200000');
    await vi.waitFor(() => expect(identityOf(guardian)).toBeNull(), WAIT);
  });

  it('runs nothing when it is dismissed', async () => {
    const mark = join(mock.beside, 'mark');
    const dismissed = startGuardian({ command: ['/bin/sh', '-c', `: > ${mark}`] });
    dismissed.dismiss();
    await vi.waitFor(() => expect(identityOf(dismissed.pid!)).toBeNull(), WAIT);
    expect(existsSync(mark)).toBe(false);
  });

  it('says so when it ends before its time', async () => {
    const lost = vi.fn();
    const guardian = startGuardian({ command: ['/bin/true'], onLost: lost });
    process.kill(guardian.pid!, 'SIGKILL');
    await vi.waitFor(() => expect(lost).toHaveBeenCalledWith('ended by SIGKILL'), WAIT);
    guardian.dismiss();
  });
});
