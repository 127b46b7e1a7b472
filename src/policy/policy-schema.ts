import { z } from 'zod';
import { durationMs, ratePerS } from '../core/quantity-schema.ts';

const LEAST = 'No level below this is ever asked for';
const MOST = 'No level above this is ever asked for';
const level = () => z.number().min(0).max(1);
const interval = () => durationMs({ min: '10ms', max: '10s' });
const rise = () =>
  ratePerS({ min: '1/h' }).describe('The level rises no faster, in full capacity a time; absent: at once');
const fall = () =>
  ratePerS({ min: '1/h' }).describe('The level falls no faster, in full capacity a time; absent: at once');
const controller = (names: readonly string[]) => z.enum(names as [string, ...string[]]);
const parameters = () => z.record(z.string(), z.unknown()).default({});

/** A rule's settings, each in the place of the policy's own; a level's bounds and parameters one by one. */
const setSchema = z.strictObject({
  parameters: parameters().describe('Parameters of the controller that differ'),
  level: z
    .strictObject({
      min: level().optional().describe(LEAST),
      max: level().optional().describe(MOST),
      rise: rise().optional(),
      fall: fall().optional(),
    })
    .default({})
    .describe('Bounds of the level that differ'),
  interval: interval().optional().describe('How often the level is decided anew'),
});

const ruleSchema = z.strictObject({
  cron: z
    .string({
      error: ({ input }) =>
        `${input === undefined ? 'missing' : 'no text'}, expected a cron expression such as "0 22 * * *"`,
    })
    .meta({ examples: ['0 22 * * *', '0 6 * * 1-5', '@daily'] })
    .describe('When the rule fires: minute, hour, day of the month, month, day of the week'),
  timeZone: z
    .string()
    .optional()
    .meta({ examples: ['Europe/Berlin'] })
    .describe('Whose clock is meant; absent: that of the machine'),
  set: setSchema
    .prefault({})
    .describe('What is in force from then on, until another rule fires; {}: the policy as it stands'),
});

/** A controller that takes over from one that fails. */
export function fallbackSchema(controllerNames: readonly string[]) {
  return z.strictObject({
    controller: controller(controllerNames).describe('The control law'),
    parameters: parameters().describe('Its parameters'),
  });
}

const MOST_RULES = 100;
export const FULL_SPEED = 'performance';

/**
 * A policy file without its controllers' parameters, which each controller's own schema checks. Every key has a default but
 * the controller's name.
 */
export function policySchema(controllerNames: readonly string[]) {
  return z.strictObject({
    controller: controller(controllerNames).describe('The control law'),
    interval: interval().prefault('100ms').describe('How often the level is decided anew'),
    parameters: parameters().describe('The controller’s parameters; `tailgov policy list` explains them'),
    level: z
      .strictObject({
        min: level().default(0).describe(LEAST),
        max: level().default(1).describe(MOST),
        rise: rise().optional(),
        fall: fall().optional(),
      })
      .prefault({})
      .describe('The range of the level, as a share of full capacity, and how fast it may move'),
    fallback: z
      .union([z.literal(FULL_SPEED), fallbackSchema(controllerNames)], {
        error: `expected ${FULL_SPEED}, or a mapping with controller and parameters`,
      })
      .default(FULL_SPEED)
      .describe('What governs once the controller has failed three times in a row; performance: full speed'),
    schedule: z
      .array(ruleSchema)
      .max(MOST_RULES)
      .default([])
      .describe('Settings by the clock: the rule that fired last is in force'),
  });
}

export type ParsedPolicy = z.output<ReturnType<typeof policySchema>>;
