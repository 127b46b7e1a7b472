import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeasuredPower, spentUj } from '../../src/telemetry/measured-power.ts';

const RANGE_UJ = 262_143_328_850;
const zone = (name: string) => ({ name, rangeUj: RANGE_UJ });

describe('spentUj()', () => {
  it('is what was spent, wherever the counter stands, as long as it goes round once at most', () => {
    const range = fc.integer({ min: 1, max: RANGE_UJ });
    const share = fc.double({ min: 0, max: 0.999_999, noNaN: true });
    fc.assert(
      fc.property(range, share, share, (rangeUj, startShare, spentShare) => {
        const [start, spent] = [Math.floor(startShare * rangeUj), Math.floor(spentShare * rangeUj)];
        expect(spentUj(start, (start + spent) % rangeUj, rangeUj)).toBe(spent);
      }),
    );
  });
});

describe('MeasuredPower', () => {
  it('adds up all packages over any number of rounds of their counters', () => {
    const step = fc.record({ forMs: fc.integer({ min: 1000, max: 5000 }), watts: fc.tuple(fc.nat(900), fc.nat(900)) });
    const start = fc.tuple(fc.nat(RANGE_UJ - 1), fc.nat(RANGE_UJ - 1));
    fc.assert(
      fc.property(start, fc.array(step, { minLength: 1, maxLength: 20 }), (startUj, steps) => {
        const now: number[] = [...startUj];
        const power = new MeasuredPower([zone('package-0'), zone('package-1')], () => [...now]);
        let atMs = 0;
        let joules = 0;
        power.tick(atMs);
        for (const { forMs, watts } of steps) {
          atMs += forMs;
          for (const [index, each] of watts.entries()) {
            now[index] = (now[index]! + each * forMs * 1000) % RANGE_UJ;
            joules += (each * forMs) / 1000;
          }
          power.tick(atMs);
          expect(power.watts).toBeCloseTo(watts[0] + watts[1], 3);
        }
        expect(power.energy!.joules).toBeCloseTo(joules, 3);
        expect(power.energy!.atMs).toBe(atMs);
      }),
    );
  });

  it('looks about once a second', () => {
    let looks = 0;
    const power = new MeasuredPower([zone('package-0')], () => [(looks += 1)]);
    for (let atMs = 0; atMs <= 3000; atMs += 100) power.tick(atMs);
    expect(looks).toBe(4);
  });

  it('tells no power while a counter does not answer, and counts afterwards what was spent meanwhile', () => {
    let uj: number[] | null = [0];
    const power = new MeasuredPower([zone('package-0')], () => uj);
    expect(power.energy).toBeNull();
    power.tick(0);
    expect(power.watts).toBeNull();
    uj = null;
    power.tick(1000);
    expect(power.watts).toBeNull();
    uj = [40_000_000];
    power.tick(2000);
    expect([power.watts, power.energy!.joules]).toEqual([20, 40]);
  });

  it('takes no counter that began anew for a fortune', () => {
    let uj = 90_000_000_000;
    const power = new MeasuredPower([zone('package-0')], () => [uj]);
    power.tick(0);
    uj = 1000;
    power.tick(1000);
    expect([power.watts, power.energy!.joules]).toEqual([null, 0]);
    uj += 5_000_000;
    power.tick(2000);
    expect([power.watts, power.energy!.joules]).toEqual([5, 5]);
  });
});
