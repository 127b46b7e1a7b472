import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../src/core/histogram.ts';
import { addTimes, noTimes, timesMessage } from '../../src/telemetry/metrics-times.ts';
import { snapshotOf } from './metrics-support.ts';

const times = fc.array(fc.integer({ min: 0, max: 1_000_000_000 }), { maxLength: 50 });

describe('the times of a window', () => {
  it('come out on the other thread as they went in, window upon window', () => {
    fc.assert(
      fc.property(fc.array(times, { maxLength: 5 }), (windows) => {
        const sums = noTimes();
        for (const ns of windows) {
          const latency = Histogram.of(ns);
          const message = timesMessage(
            snapshotOf(ns.length, 0, { latency, socketWait: latency, handlingTime: latency }),
          );
          if (message !== null) addTimes(sums, structuredClone(message));
        }
        const whole = Histogram.of(windows.flat());
        for (const histogram of Object.values(sums)) {
          expect(histogram.counts).toEqual(whole.counts);
          expect([histogram.count, histogram.sumNs]).toEqual([whole.count, whole.sumNs]);
        }
      }),
    );
  });

  it('are nothing where nothing completed', () => {
    expect(timesMessage(snapshotOf(0, 0))).toBeNull();
  });
});
