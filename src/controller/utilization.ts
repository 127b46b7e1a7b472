import { z } from 'zod';
import { controllerKind } from '../core/controller-kind.ts';
import type { Controller, ControllerInput, ControllerOutput, Level } from '../core/controller.ts';
import { type ObservedLoad, observeLoad, unknownLoad } from './observed-load.ts';
import { percent } from './percent.ts';

const parameters = z.strictObject({
  headroom: z
    .number()
    .min(1)
    .max(10)
    .default(1.25)
    .describe('The level is this many times the load; 1.25 keeps the busiest thread 80 % busy'),
});

/**
 * The rule of Linux' schedutil governor: frequency = 1.25 · maximum · utilisation, where utilisation is counted in full
 * capacity (`get_next_freq` and `map_util_perf` in kernel/sched). It knows nothing of latency.
 */
function utilizationLaw({ headroom }: z.output<typeof parameters>): Controller<ObservedLoad> {
  function step(input: ControllerInput, before: ObservedLoad): ControllerOutput<ObservedLoad> {
    const { limits } = input;
    const clamp = (level: Level) => Math.min(limits.max, Math.max(limits.min, level));
    const state = observeLoad(before, input);
    if (input.observation.health === 'idle') {
      return { level: limits.min, state, reason: 'idle: the lowest level allowed' };
    }
    if (state.load === null || input.observation.health === 'silence') {
      return { level: limits.max, state, reason: 'utilisation is not known: the highest level allowed' };
    }
    const level = clamp(headroom * state.load);
    return { level, state, reason: `${headroom} × a load of ${percent(state.load)}: ${percent(level)}` };
  }
  return { name: 'utilization', initial: () => unknownLoad, step };
}

export const utilization = controllerKind({
  name: 'utilization',
  summary: 'Follows the load alone, by the rule of the kernel’s schedutil governor: a baseline that knows no latency',
  parameters,
  create: utilizationLaw,
});
