import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ModelledCore, monotonicMs } from '../../src/demo/modelled-core.ts';

let directory: string;
let file: string;
const setKhz = (text: string) => writeFileSync(file, text);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-core-'));
  file = join(directory, 'scaling_cur_freq');
  setKhz('1000000\n');
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('ModelledCore', () => {
  test('works for cycles ÷ frequency, and books that time', () => {
    const core = new ModelledCore(file);
    core.takeSpans();
    const fromMs = monotonicMs();
    core.spend(3_000_000);
    const tookMs = monotonicMs() - fromMs;
    const spans = core.takeSpans();
    core.close();
    // 3 million cycles at 1 GHz. No upper bound: other processes may take the CPU away.
    expect(tookMs).toBeGreaterThanOrEqual(3);
    expect(spans.map(({ frequencyKhz }) => frequencyKhz)).toEqual([1_000_000]);
    expect(spans[0]!.busyMs).toBeGreaterThan(2.99);
  });

  test('takes longer at a lower frequency', () => {
    const core = new ModelledCore(file);
    setKhz('100000\n');
    const fromMs = monotonicMs();
    core.spend(500_000);
    expect(monotonicMs() - fromMs).toBeGreaterThanOrEqual(5);
    core.close();
  });

  test('starts a span where the frequency changes, without a gap', () => {
    const core = new ModelledCore(file);
    core.takeSpans();
    core.spend(100_000);
    setKhz('2000000\n');
    core.lookAtFrequency();
    core.spend(100_000);
    const spans = core.takeSpans();
    core.close();
    expect(spans.map(({ frequencyKhz }) => frequencyKhz)).toEqual([1_000_000, 2_000_000]);
    expect(spans[1]!.fromMs).toBe(spans[0]!.toMs);
    expect(spans.every(({ fromMs, toMs, busyMs }) => busyMs >= 0 && busyMs <= toMs - fromMs)).toBe(true);
  });

  test('keeps what it knew while the file is empty', () => {
    const core = new ModelledCore(file);
    setKhz('');
    core.spend(10_000);
    expect(core.takeSpans().map(({ frequencyKhz }) => frequencyKhz)).toEqual([1_000_000]);
    core.close();
  });

  test('refuses a file that holds no frequency', () => {
    setKhz('<unsupported>\n');
    expect(() => new ModelledCore(file)).toThrow(/holds no frequency/);
  });
});
