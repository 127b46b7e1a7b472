import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatKhz,
  formatNs,
  formatPercent,
  formatQuantile,
  parseDurationNs,
  parseFrequencyKhz,
  parseQuantile,
  parseRatePerS,
} from '../../src/core/units.ts';

describe('parseDurationNs()', () => {
  test.each([
    ['0s', 0],
    ['7ns', 7],
    ['250us', 250_000],
    ['250µs', 250_000],
    ['5ms', 5_000_000],
    ['1.5s', 1_500_000_000],
    ['1min', 60_000_000_000],
    ['2h', 7_200_000_000_000],
    ['1d', 86_400_000_000_000],
    [' 5 ms ', 5_000_000],
  ])('reads %j', (text, ns) => {
    expect(parseDurationNs(text)).toBe(ns);
  });

  test.each([
    '',
    '5',
    'ms',
    '-5ms',
    '+5ms',
    '.5s',
    '5.s',
    '1e3ms',
    '5 m s',
    '5m',
    '5MS',
    '5sec',
    '5ms 3us',
    '0x5ms',
    '5constructor',
  ])('refuses %j', (text) => {
    expect(parseDurationNs(text)).toBeUndefined();
  });

  test('refuses what no number can hold', () => {
    expect(parseDurationNs(`${'9'.repeat(400)}s`)).toBeUndefined();
  });

  test('gives whole nanoseconds, as near as can be', () => {
    expect(parseDurationNs('1.001ms')).toBe(1_001_000);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000 }), (ns) => {
        expect(parseDurationNs(`${(ns / 1e6).toFixed(6)}ms`)).toBe(ns);
      }),
    );
  });

  test('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const ns = parseDurationNs(text);
        expect(ns === undefined || ns >= 0).toBe(true);
      }),
    );
  });
});

describe('parseFrequencyKhz()', () => {
  test.each([
    ['800000kHz', 800_000],
    ['800MHz', 800_000],
    ['2.4GHz', 2_400_000],
    ['2.3456789 GHz', 2_345_679],
  ])('reads %j', (text, khz) => {
    expect(parseFrequencyKhz(text)).toBe(khz);
  });

  test.each(['', '2400', '2.4', '2.4ghz', '2.4Hz', '-1GHz', '2,4GHz', 'GHz', '5ms'])('refuses %j', (text) => {
    expect(parseFrequencyKhz(text)).toBeUndefined();
  });
});

describe('parseQuantile()', () => {
  test.each([
    ['p50', 0.5],
    ['p5', 0.05],
    ['p99', 0.99],
    ['p99.9', 0.999],
    ['p999', 0.999],
    ['p9999', 0.9999],
    ['p99.99', 0.9999],
    ['p0.5', 0.005],
  ])('reads %j', (text, quantile) => {
    expect(parseQuantile(text)).toBe(quantile);
  });

  test.each(['', 'p', 'p0', 'p00', 'p100', 'p500', '99', 'P99', 'p99%', 'p-1', 'p99.', '0.99', ' p99'])(
    'refuses %j',
    (text) => {
      expect(parseQuantile(text)).toBeUndefined();
    },
  );

  test('reads back what formatQuantile() writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99_999 }), (parts) => {
        const quantile = parts / 100_000;
        expect(parseQuantile(formatQuantile(quantile))).toBeCloseTo(quantile, 12);
      }),
    );
  });
});

describe('formatQuantile()', () => {
  test.each([
    [0.5, 'p50'],
    [0.99, 'p99'],
    [0.999, 'p99.9'],
    [0.29, 'p29'],
  ])('writes %d as %s', (quantile, text) => {
    expect(formatQuantile(quantile)).toBe(text);
  });
});

describe('formatNs()', () => {
  test.each([
    [0, '0 ns'],
    [850, '850 ns'],
    [999.6, '1.00 µs'],
    [1_000, '1.00 µs'],
    [12_345, '12.3 µs'],
    [9_999, '10.0 µs'],
    [999_499, '999 µs'],
    [999_999, '1.00 ms'],
    [1_200_000, '1.20 ms'],
    [3_000_000_000, '3.00 s'],
    [75_000_000_000, '75.0 s'],
  ])('writes %d as %s', (ns, text) => {
    expect(formatNs(ns)).toBe(text);
  });

  test('is never more than half of its third digit away', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 2 ** 50 }), (ns) => {
        const shown = parseDurationNs(formatNs(ns))!;
        expect(Math.abs(shown - ns) / ns).toBeLessThanOrEqual(0.005);
      }),
    );
  });
});

describe('formatPercent()', () => {
  test.each([
    [0.1234, 1, '12.3 %'],
    [-0.05, 0, '-5 %'],
    [-0.0001, 1, '0.0 %'],
    [-0.001, 0, '0 %'],
    [1, 2, '100.00 %'],
  ])('writes %d with %d digits as %s', (share, digits, text) => {
    expect(formatPercent(share, digits)).toBe(text);
  });
});

describe('formatKhz()', () => {
  test.each([
    [800_000, '800 MHz'],
    [1_000_000, '1.00 GHz'],
    [2_300_000, '2.30 GHz'],
  ])('writes %d as %s', (khz, text) => {
    expect(formatKhz(khz)).toBe(text);
  });
});

describe('parseRatePerS()', () => {
  test('reads rates in every unit of time that they have', () => {
    expect(['0.5/s', '30/min', '1800 / h'].map(parseRatePerS)).toEqual([0.5, 0.5, 0.5]);
  });

  test.each(['1', '1/ms', '/s', '-1/s', 's/1', '1/s/s'])('refuses %s', (text) => {
    expect(parseRatePerS(text)).toBeUndefined();
  });
});
