import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import { startLiveMock, type LiveMock } from '../../src/sysfs/live-mock.ts';
import { realTree } from '../../src/sysfs/real-tree.ts';
import { KERNEL_ANSWERS, type KernelStep } from './kernel-answers.ts';
import { mockDirectory } from './mock-directory.ts';
import { shippedMock } from './shipped-mock.ts';

const WAIT = { timeout: 5_000, interval: 5 };
const POLICY0 = 'devices/system/cpu/cpufreq/policy0';

describe('startLiveMock()', () => {
  let mock: ReturnType<typeof mockDirectory>;
  let tree: SysfsTree;
  let live: LiveMock;
  beforeEach(() => {
    mock = mockDirectory(shippedMock('acpi-cpufreq-qemu-2c'));
    tree = realTree(mock.sysfs);
    live = startLiveMock(mock.sysfs);
  });
  afterEach(() => {
    live.close();
    tree.close();
    mock.remove();
  });

  const comesToRead = (file: string, text: string) =>
    vi.waitFor(() => expect(tree.read(`${POLICY0}/${file}`)).toEqual({ ok: true, value: text }), WAIT);

  // The kernel's answer comes after the write here, and no write is refused: only what comes to be read is compared.
  const staysOnline = KERNEL_ANSWERS.filter(({ steps }) => !steps.some(({ path }) => path.endsWith('/online')));
  it.each(staysOnline)('comes to show what the kernel would: $name', async ({ steps }) => {
    for (const [index, step] of steps.entries()) {
      if (!isAnswerable(step)) continue;
      if (step.operation === 'write') {
        tree.write(step.path, step.text);
        // Two writes before the mock has looked are one to it: wait until it has answered this one.
        await settled(index);
      } else {
        await comesToRead(step.path.slice(POLICY0.length + 1), step.expected);
      }
    }
  });

  const isAnswerable = ({ path, expected }: KernelStep) =>
    path.startsWith(`${POLICY0}/scaling_`) && !['EACCES', 'ENOENT', 'EISDIR'].includes(expected);

  /** policy1 is written after policy0, and the mock answers in the order of the events. */
  async function settled(round: number): Promise<void> {
    const junk = `settling ${round}`;
    const path = 'devices/system/cpu/cpufreq/policy1/scaling_governor';
    tree.write(path, junk);
    await vi.waitFor(() => expect(tree.read(path)).toEqual({ ok: true, value: 'performance' }), WAIT);
  }

  it('follows a firmware limit', async () => {
    tree.write(`${POLICY0}/scaling_max_freq`, '2800000');
    await comesToRead('scaling_cur_freq', '2800000');
    writeFileSync(join(mock.sysfs, POLICY0, 'bios_limit'), '1600000\n');
    await comesToRead('scaling_cur_freq', '1600000');
    writeFileSync(join(mock.sysfs, POLICY0, 'bios_limit'), '3200000\n');
    await comesToRead('scaling_cur_freq', '2800000');
  });

  it('never shows an empty or mixed text to a reader that keeps the file open', async () => {
    const descriptor = openSync(join(mock.sysfs, POLICY0, 'scaling_cur_freq'), 'r');
    const buffer = Buffer.alloc(64);
    const seen = new Set<string>();
    const look = () => seen.add(buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, 64, 0)).trimEnd());
    for (const khz of ['1200000', '2400000', '1600000', '3200000']) {
      tree.write(`${POLICY0}/scaling_max_freq`, khz);
      await vi.waitFor(
        () => {
          look();
          expect([...seen]).toContain(khz);
        },
        { timeout: 5_000, interval: 1 },
      );
    }
    closeSync(descriptor);
    expect([...seen].sort()).toEqual(['1200000', '1600000', '2400000', '3200000']);
  });
});
