import type { Controller, ControllerInput, Level } from '../core/controller.ts';
import { messageOf } from '../core/errors.ts';

/** A controller's answer after the rails: always a level that may be planned. */
export interface RailedStep {
  readonly askedLevel: Level;
  readonly level: Level;
  readonly reason: string;
  readonly state: unknown;
  /** Set when the controller threw or answered no number: the level is then the highest allowed. */
  readonly fault?: string;
}

/** Steps any controller, the user's too: what it does wrong costs power, never latency. */
export function railedStep(controller: Controller, input: ControllerInput, state: unknown): RailedStep {
  const { min, max } = input.limits;
  try {
    const output = controller.step(input, state);
    if (!Number.isFinite(output.level)) {
      return failed(max, `controller ${controller.name} answered level ${output.level}, expected a number from 0 to 1`);
    }
    const level = Math.min(max, Math.max(min, output.level));
    return { askedLevel: output.level, level, reason: output.reason, state: output.state };
  } catch (error) {
    return failed(max, `controller ${controller.name} failed: ${messageOf(error)}`);
  }

  // The state that led here is not to be trusted either.
  function failed(safeLevel: Level, fault: string): RailedStep {
    return { askedLevel: safeLevel, level: safeLevel, reason: fault, state: controller.initial(safeLevel), fault };
  }
}
