import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Controller } from '../../src/core/controller.ts';
import { controllerKind } from '../../src/core/controller-kind.ts';
import { durationMs } from '../../src/core/quantity-schema.ts';

const kind = controllerKind({
  name: 'hold',
  summary: 'Stays where it is',
  parameters: z.strictObject({ hold: durationMs().prefault('5s') }),
  create: ({ hold }): Controller => ({
    name: `hold for ${hold} ms`,
    initial: () => null,
    step: ({ appliedLevel }) => ({ level: appliedLevel, state: null, reason: 'stays' }),
  }),
});

describe('controllerKind()', () => {
  test('makes a controller from parameters as a policy writes them', () => {
    expect(kind.create({ hold: '1.5s' }).name).toBe('hold for 1500 ms');
  });

  test('takes the defaults for what is absent', () => {
    expect(kind.create({}).name).toBe('hold for 5000 ms');
  });

  test('refuses what the schema refuses', () => {
    expect(() => kind.create({ hold: 'long' })).toThrow(z.ZodError);
    expect(() => kind.create({ held: '5s' })).toThrow(z.ZodError);
  });
});
