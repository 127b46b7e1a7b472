import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventTree } from '../../src/plant/event-tree.ts';

describe('EventTree', () => {
  it('has nothing due at first', () => {
    expect(new EventTree(5).nextNs).toBe(Infinity);
  });

  it('names the earliest slot, the lowest of equals, whatever came before', () => {
    const writes = fc.array(fc.record({ slot: fc.nat(40), timeNs: fc.oneof(fc.nat(5), fc.constant(Infinity)) }), {
      minLength: 1,
      maxLength: 100,
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 41 }), writes, (slots, list) => {
        const tree = new EventTree(slots);
        const times = new Array<number>(slots).fill(Infinity);
        for (const { slot, timeNs } of list) {
          const at = slot % slots;
          times[at] = timeNs;
          tree.timesNs[at] = timeNs;
          tree.update(at);
          expect(tree.nextNs).toBe(Math.min(...times));
          if (tree.nextNs < Infinity) expect(tree.next).toBe(times.indexOf(tree.nextNs));
        }
      }),
    );
  });
});
