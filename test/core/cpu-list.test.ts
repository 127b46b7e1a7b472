import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCpuList, parseCpuList } from '../../src/core/cpu-list.ts';

describe('parseCpuList()', () => {
  it.each([
    ['0', [0]],
    ['0-3', [0, 1, 2, 3]],
    ['0,48', [0, 48]],
    ['0 48', [0, 48]],
    ['3,0-1,1', [0, 1, 3]],
    ['', []],
    ['\n', []],
  ])('takes %j', (text, cpus) => {
    expect(parseCpuList(text)).toEqual(cpus);
  });

  it.each(['a', '1-', '-1', '3-1', '1:2', '0-4000000000'])('refuses %j', (text) => {
    expect(parseCpuList(text)).toBeUndefined();
  });

  it('reads what formatCpuList() writes', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(300)), (cpus) => {
        expect(parseCpuList(formatCpuList(cpus))).toEqual([...cpus].sort((a, b) => a - b));
      }),
    );
  });
});
