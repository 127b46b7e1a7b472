import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { changedControls, readControls } from '../../src/demo/mock-controls.ts';

test('changedControls() names each control that is not as before', () => {
  const root = mkdtempSync(join(tmpdir(), 'tailgov-controls-'));
  const policy = join(root, 'devices/system/cpu/cpufreq/policy0');
  mkdirSync(policy, { recursive: true });
  try {
    writeFileSync(join(policy, 'scaling_governor'), 'powersave\n');
    writeFileSync(join(policy, 'scaling_max_freq'), '4700000\n');
    const before = readControls(root);
    expect([...before.values()].sort()).toEqual(['4700000', 'powersave']);
    expect(changedControls(before, readControls(root))).toEqual([]);
    writeFileSync(join(policy, 'scaling_max_freq'), '1000000\n');
    rmSync(join(policy, 'scaling_governor'));
    expect(changedControls(before, readControls(root)).sort()).toEqual([
      'devices/system/cpu/cpufreq/policy0/scaling_governor: was powersave, is gone',
      'devices/system/cpu/cpufreq/policy0/scaling_max_freq: was 4700000, is 1000000',
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
