import { z } from 'zod';
import { durationMs } from '../core/quantity-schema.ts';

const level = () => z.number().min(0).max(1);

/**
 * A policy file without its controller's parameters, which the controller's own schema checks. Every key has a default but
 * the controller's name.
 */
export function policySchema(controllerNames: readonly string[]) {
  return z.strictObject({
    controller: z.enum(controllerNames as [string, ...string[]]).describe('The control law'),
    interval: durationMs({ min: '10ms', max: '10s' }).prefault('100ms').describe('How often the level is decided anew'),
    parameters: z
      .record(z.string(), z.unknown())
      .default({})
      .describe('The controller’s parameters; `tailgov policy list` explains them'),
    level: z
      .strictObject({
        min: level().default(0).describe('No level below this is ever asked for'),
        max: level().default(1).describe('No level above this is ever asked for'),
      })
      .prefault({})
      .describe('The range of the level, as a share of full capacity'),
  });
}
