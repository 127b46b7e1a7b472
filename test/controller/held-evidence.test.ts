import { describe, expect, it } from 'vitest';
import {
  type HeldEvidence,
  holdEvidence,
  LONGEST_MEMORY_MS,
  noEvidence,
  withEvidence,
} from '../../src/controller/held-evidence.ts';
import type { Level } from '../../src/core/controller.ts';
import { input, observation } from './observation.ts';

const latest = { windowMs: 100, arrivals: 1, requests: 1, overSlo: 0, quantileNs: null };
function hold(ticks: number, appliedLevel: Level, before: HeldEvidence = noEvidence, overSlo = 0): HeldEvidence {
  let held = before;
  for (let i = 0; i < ticks; i++)
    held = holdEvidence(held, input({ latest: { ...latest, overSlo } }, { appliedLevel }));
  return held;
}

describe('holdEvidence()', () => {
  it('counts on while the level rests, within a few percent', () => {
    const held = hold(100, 0.51, hold(101, 0.5));
    expect(held).toMatchObject({ requests: 200, overSlo: 0, forMs: 20_000 });
  });

  it('starts anew when the level moves: what was seen there proves nothing here', () => {
    expect(hold(1, 0.4, hold(100, 0.5))).toMatchObject({ level: 0.4, requests: 0 });
  });

  it('fades beyond its longest memory', () => {
    const ticks = (10 * LONGEST_MEMORY_MS) / 100;
    const { requests, overSlo } = hold(ticks, 0.5, hold(1, 0.5), 1);
    expect(requests).toBeGreaterThan(2900);
    expect(requests).toBeLessThan(3200);
    expect(overSlo).toBeCloseTo(requests, 6);
  });
});

describe('withEvidence()', () => {
  it('shows the larger of the window and the memory', () => {
    const few = observation({ requests: 50, overSlo: 1 });
    const held = { level: 0.5, requests: 299.5, overSlo: 0.2, forMs: 60_000 };
    expect(withEvidence(few, held)).toMatchObject({ requests: 299, overSlo: 1, quantileNs: few.quantileNs });
    const many = observation({ requests: 5000 });
    expect(withEvidence(many, held)).toBe(many);
  });
});
