import { describe, expect, it } from 'vitest';
import { type SeenTurn, TurnJoiner } from '../../src/sensor/turn-joiner.ts';

const EXTEND_NS = 50;
const seen = (arrivalNs: number, sentNs: number, cutShort = false): SeenTurn => ({
  target: 0,
  arrivalNs,
  readNs: arrivalNs + 1,
  sentNs,
  cutShort,
});

function joining() {
  const joiner = new TurnJoiner(EXTEND_NS);
  const taken: number[][] = [];
  joiner.take = (target, ...times) => taken.push([target, ...times]);
  return { joiner, taken };
}

describe('TurnJoiner', () => {
  it('hands a turn out when the next one on its connection is told of, with its last send', () => {
    const { joiner, taken } = joining();
    joiner.join(7, seen(100, 110), false);
    joiner.join(7, seen(100, 130), true);
    expect(taken).toEqual([]);
    joiner.join(7, seen(200, 205), false);
    expect(taken).toEqual([[0, 100, 1, 29]]);
  });

  it('hands a turn out when no send can extend it any more, whatever other connections do', () => {
    const { joiner, taken } = joining();
    joiner.join(1, seen(100, 110), false);
    joiner.join(2, seen(100, 120), false);
    joiner.join(1, seen(100, 140), true);
    joiner.endBefore(175);
    expect(taken).toEqual([[0, 100, 1, 19]]);
    joiner.endBefore(191);
    expect(taken).toHaveLength(2);
  });

  it('waits long for the rest of a reply that was cut short, and holds up nobody else', () => {
    const { joiner, taken } = joining();
    joiner.join(1, seen(100, 110, true), false);
    joiner.join(2, seen(101, 111), false);
    joiner.endBefore(1_000_000);
    expect(taken).toEqual([[0, 101, 1, 9]]);
    joiner.join(1, seen(100, 2_000_000), true);
    joiner.endBefore(Infinity);
    expect(taken[1]).toEqual([0, 100, 1, 1_999_899]);
    expect(joiner.late(0)).toBe(0);
  });

  it('counts pieces whose turn is gone, and writes no turn twice', () => {
    const { joiner, taken } = joining();
    joiner.join(1, seen(100, 110), false);
    joiner.endBefore(Infinity);
    joiner.join(1, seen(100, 400), true);
    joiner.join(1, seen(500, 510), true);
    joiner.endBefore(Infinity);
    expect(taken).toEqual([[0, 100, 1, 9]]);
    expect(joiner.late(0)).toBe(2);
  });
});
