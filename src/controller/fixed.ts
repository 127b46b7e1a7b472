import { z } from 'zod';
import { controllerKind } from '../core/controller-kind.ts';
import type { Controller } from '../core/controller.ts';
import { percent } from './percent.ts';

const parameters = z.strictObject({
  level: z.number().min(0).max(1).default(1).describe('The level to stay at; 1 is full speed'),
});

/** One level whatever happens: the baseline that others are compared with. */
export const fixed = controllerKind({
  name: 'fixed',
  summary: 'Stays at one level whatever happens: the baseline that others are compared with',
  parameters,
  create: ({ level }): Controller<null> => ({
    name: 'fixed',
    initial: () => null,
    step: ({ limits }) => ({
      level: Math.min(limits.max, Math.max(limits.min, level)),
      state: null,
      reason: `fixed at ${percent(level)}`,
      rests: true,
    }),
  }),
});
