import { z } from 'zod';
import { durationMs } from '../core/quantity-schema.ts';

/** What every guarded controller takes, beside the parameters of its own law. */
export const guardParameters = z.strictObject({
  confidence: z
    .number()
    .min(0.5)
    .max(0.999)
    .default(0.9)
    .describe('How sure counts of slow requests must be that the SLO is met before the level goes down'),
  utilizationCeiling: z
    .number()
    .min(0.3)
    .max(0.99)
    .default(0.9)
    .describe('A busier thread counts as saturated: the level rises where fewer requests come than before'),
  idleAfter: durationMs().prefault('1s').describe('How long nothing must arrive before the idle level is taken'),
  idleLevel: z.number().min(0).max(1).optional().describe('The level while idle; absent: the lowest allowed'),
  silenceAfter: durationMs().prefault('1s').describe('How long the level is held when the sensor says nothing'),
  safeLevel: z.number().min(0).max(1).default(1).describe('The level to rise to when the sensor stays silent'),
});

export type GuardParameters = z.output<typeof guardParameters>;
