import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestQueue } from '../../src/plant/request-queue.ts';

describe('RequestQueue', () => {
  it('is first in, first out, while it wraps around and grows', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 600 }), fc.nat(200), (pushes, filled) => {
        const queue = new RequestQueue();
        const model: number[] = [];
        let next = 0;
        const push = () => {
          queue.push(next, next * 2, -next);
          model.push(next++);
        };
        for (let i = 0; i < filled; i++) push();
        for (const isPush of pushes) {
          if (isPush || model.length === 0) push();
          else {
            queue.shift();
            model.shift();
          }
          expect(queue.size).toBe(model.length);
          expect(queue.headArrivalNs).toBe(model[0] ?? Infinity);
          if (model.length > 0) {
            expect([queue.headDemandNs, queue.headConnection]).toEqual([model[0]! * 2, 0 - model[0]!]);
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});
