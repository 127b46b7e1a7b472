import { describe, expect, it } from 'vitest';
import { durationOption } from '../../src/cli/duration-option.ts';
import { UsageError } from '../../src/core/errors.ts';

describe('durationOption()', () => {
  const read = durationOption('--duration', 100);

  it('reads times with their unit', () => {
    expect(['100ms', '1.5s', '10min', '24d'].map(read)).toEqual([100, 1500, 600_000, 24 * 86_400_000]);
  });

  it.each(['soon', '', '99ms', '25d', '1000d'])(
    'refuses %j, which is no time, too short, or more than a timer can wait',
    (text) => {
      expect(() => read(text)).toThrow(
        new UsageError(`--duration ${text}: expected a time from 100ms to 24d, such as 10s`),
      );
    },
  );

  it('takes no text for 0 where 0 is allowed', () => {
    const warmup = durationOption('--warmup', 0);
    expect(warmup('0s')).toBe(0);
    expect(() => warmup('soon')).toThrow('--warmup soon: expected a time from 0ms to 24d');
  });
});
