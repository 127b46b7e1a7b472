import { describe, expect, it } from 'vitest';
import { type ObservedLoad, observeLoad, unknownLoad } from '../../src/controller/observed-load.ts';
import { input } from './observation.ts';

const look = (before: ObservedLoad, utilization: number | null, appliedLevel: number, elapsedMs = 100) =>
  observeLoad(before, input({ utilization }, { appliedLevel, elapsedMs }), 0.5);

describe('observeLoad()', () => {
  it('is the utilisation times the level that it was measured at', () => {
    expect(look(unknownLoad, 0.5, 0.6).load).toBeCloseTo(0.3, 12);
  });

  it('takes each look in once, though it is shown ten times and the level moves meanwhile', () => {
    let load = look(unknownLoad, 0.5, 1);
    for (const level of [0.9, 0.7, 0.5, 0.5]) load = look(load, 0.5, level);
    expect(load.load).toBe(0.5);
  });

  it('smooths looks by their weight', () => {
    expect(look(look(unknownLoad, 0.4, 1), 0.8, 1).load).toBeCloseTo(0.6, 12);
  });

  it('takes a look that says the same for a new one after a second', () => {
    const full = look(unknownLoad, 1, 0.5);
    expect(look(full, 1, 0.8, 1000).load).toBeCloseTo(0.65, 12);
  });

  it('keeps what it knows while utilisation is not known', () => {
    expect(look(look(unknownLoad, 0.4, 1), null, 0.5).load).toBeCloseTo(0.4, 12);
    expect(look(unknownLoad, null, 0.5).load).toBeNull();
  });
});
