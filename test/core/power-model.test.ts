import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  busyCoreWatts,
  corei7_1165g7,
  describePowerModel,
  fitPowerModel,
  packagePowerWatts,
  voltsAt,
} from '../../src/core/power-model.ts';

const model = corei7_1165g7;
const all = (frequencyKhz: number, busy: number) =>
  Array.from({ length: model.coreCount }, () => ({ frequencyKhz, busy }));
const khz = fc.integer({ min: 400_000, max: 4_700_000 });
const share = fc.double({ min: 0, max: 1, noNaN: true });

describe('packagePowerWatts()', () => {
  test('goes through the two published points', () => {
    expect(packagePowerWatts(model, all(1_200_000, 1))).toBeCloseTo(12, 9);
    expect(packagePowerWatts(model, all(2_800_000, 1))).toBeCloseTo(28, 9);
  });

  test('never falls below static power and idle cores', () => {
    const floor = model.staticWatts + model.coreCount * model.idleCoreWatts;
    expect(packagePowerWatts(model, [])).toBeCloseTo(floor, 12);
    expect(packagePowerWatts(model, all(4_700_000, 0))).toBeCloseTo(floor, 12);
    fc.assert(
      fc.property(
        khz,
        share,
        (frequencyKhz, busy) => packagePowerWatts(model, [{ frequencyKhz, busy }]) >= floor - 1e-9,
      ),
    );
  });

  test('rises with frequency and with load', () => {
    fc.assert(
      fc.property(khz, khz, share, share, (f1, f2, b1, b2) => {
        const [slow, fast] = [Math.min(f1, f2), Math.max(f1, f2)];
        const [idle, busy] = [Math.min(b1, b2), Math.max(b1, b2)];
        const low = packagePowerWatts(model, [{ frequencyKhz: slow, busy: idle }]);
        return packagePowerWatts(model, [{ frequencyKhz: fast, busy }]) >= low - 1e-9;
      }),
    );
  });

  test('adds up core by core, each at its own frequency', () => {
    const one = { frequencyKhz: 1_000_000, busy: 0.3 };
    const other = { frequencyKhz: 3_000_000, busy: 0.9 };
    const base = packagePowerWatts(model, []);
    const sum = packagePowerWatts(model, [one]) - base + (packagePowerWatts(model, [other]) - base);
    expect(packagePowerWatts(model, [one, other]) - base).toBeCloseTo(sum, 9);
  });

  test('makes a cycle dearest at full speed, and dearer at the lowest speed than in between', () => {
    const nanojoulePerCycle = (frequencyKhz: number) => busyCoreWatts(model, frequencyKhz) / (frequencyKhz / 1e6);
    expect(nanojoulePerCycle(4_700_000)).toBeGreaterThan(nanojoulePerCycle(1_200_000));
    expect(nanojoulePerCycle(400_000)).toBeGreaterThan(nanojoulePerCycle(1_200_000));
  });
});

describe('voltsAt()', () => {
  const curve = [
    { frequencyKhz: 1000, volts: 0.5 },
    { frequencyKhz: 2000, volts: 1.5 },
  ];

  test('interpolates, and is constant beyond its ends', () => {
    expect([0, 1000, 1250, 2000, 9000].map((f) => voltsAt(curve, f))).toEqual([0.5, 0.5, 0.75, 1.5, 1.5]);
  });

  test('takes a single point for every frequency', () => {
    expect(voltsAt([{ frequencyKhz: 1000, volts: 0.7 }], 5)).toBe(0.7);
  });
});

describe('fitPowerModel()', () => {
  test('refuses points that need a negative static power', () => {
    const { staticWatts: _static, capacitanceNf: _capacitance, ...known } = model;
    expect(() =>
      fitPowerModel(known, [
        { frequencyKhz: 1_200_000, watts: 1 },
        { frequencyKhz: 2_800_000, watts: 28 },
      ]),
    ).toThrow(/does not fit its points/);
  });
});

test('describePowerModel() states every parameter', () => {
  const text = describePowerModel(model);
  for (const part of ['4.32 W', '4 cores', '0.1 W', '1 W/V', '2.51 nF', '1.3 V at 4.7 GHz'])
    expect(text).toContain(part);
});
