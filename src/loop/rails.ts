import type { Controller, ControllerInput, Level } from '../core/controller.ts';
import { messageOf } from '../core/errors.ts';
import type { Law, SlewLimits } from './law.ts';

/** A controller's answer after the rails: always a level that may be planned. */
export interface RailedStep {
  readonly askedLevel: Level;
  readonly level: Level;
  readonly reason: string;
  readonly state: unknown;
  readonly againMs?: number;
  readonly rests?: true;
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
    const { reason, againMs, rests } = output;
    return {
      askedLevel: output.level,
      level,
      reason,
      state: output.state,
      ...(againMs === undefined ? {} : { againMs }),
      ...(rests === true ? { rests } : {}),
    };
  } catch (error) {
    return failed(max, `controller ${controller.name} failed: ${messageOf(error)}`);
  }

  function failed(safeLevel: Level, fault: string): RailedStep {
    return { askedLevel: safeLevel, level: safeLevel, reason: fault, state: undefined, fault };
  }
}

/** So many faults one after the other, and a controller is not asked again. */
export const FAULTS_TO_FAIL = 3;

/** The last resort: it cannot fail. */
const fullSpeed: Controller<null> = {
  name: 'full-speed',
  initial: () => null,
  step: ({ limits }) => ({ level: limits.max, state: null, reason: 'full speed' }),
};

/**
 * A law on rails: its levels are clamped and slew-limited; a fault is answered with the highest level at once, and faults
 * that do not end put the law's fallback in the controller's place.
 */
export class RailedLaw {
  readonly #law: Law;
  /** What governs now, and what takes over from it, in order. */
  #controller: Controller;
  #successors: readonly Controller[];
  /** Undefined: to be made anew, from the level that the machine is at then. */
  #state: unknown;
  #level: Level;
  #faultsInARow = 0;
  #failed: string | undefined;

  /** @param level that the machine is at: where the law takes over, without a bump */
  constructor(law: Law, level: Level) {
    this.#law = law;
    this.#controller = law.controller;
    this.#successors = law.fallback === undefined ? [fullSpeed] : [law.fallback, fullSpeed];
    this.#level = level;
  }

  get law(): Law {
    return this.#law;
  }

  /** What is asked for its level: the policy's controller, or what was put in its place. */
  get controllerName(): string {
    return this.#controller.name;
  }

  /** Why the policy's own controller was given up; undefined while it is sound. */
  get failed(): string | undefined {
    return this.#failed;
  }

  /** Takes another law over: what governs, and how it has fared, stays where the controller is the same. */
  continuedBy(law: Law, level: Level): RailedLaw {
    const next = new RailedLaw(law, level);
    if (law.controller !== this.#law.controller || law.fallback !== this.#law.fallback) return next;
    next.#controller = this.#controller;
    next.#successors = this.#successors;
    next.#state = this.#state;
    next.#level = this.#level;
    next.#faultsInARow = this.#faultsInARow;
    next.#failed = this.#failed;
    return next;
  }

  /** The next step starts afresh from the level that the machine is at. */
  restart(level: Level): void {
    this.#state = undefined;
    this.#level = level;
  }

  step(input: Omit<ControllerInput, 'limits'>): RailedStep {
    const { limits, slew = {} } = this.#law;
    const railed = { ...input, limits };
    const step = this.#ask(railed);
    if (step.fault === undefined) {
      this.#faultsInARow = 0;
      const level = Math.min(limits.max, Math.max(limits.min, slewed(step.level, this.#level, input.elapsedMs, slew)));
      this.#level = level;
      this.#state = step.state;
      if (level === step.level) return step;
      const { rests: _, ...onItsWay } = step;
      return { ...onItsWay, level, reason: `${step.reason}; slew-limited` };
    }
    this.#level = step.level;
    // The state that led here is not to be trusted either.
    this.#state = undefined;
    return ++this.#faultsInARow < FAULTS_TO_FAIL ? step : this.#giveUp(step);
  }

  #ask(input: ControllerInput): RailedStep {
    if (this.#state === undefined) {
      try {
        this.#state = this.#controller.initial(input.appliedLevel);
      } catch (error) {
        const fault = `controller ${this.#controller.name} cannot start: ${messageOf(error)}`;
        return { askedLevel: input.limits.max, level: input.limits.max, reason: fault, state: undefined, fault };
      }
    }
    return railedStep(this.#controller, input, this.#state);
  }

  #giveUp(step: RailedStep): RailedStep {
    const [successor = fullSpeed, ...rest] = this.#successors;
    const fault = `${step.fault}; given up after ${FAULTS_TO_FAIL} faults in a row, ${successor.name} takes its place`;
    this.#controller = successor;
    this.#successors = rest;
    this.#faultsInARow = 0;
    this.#failed ??= step.fault;
    return { ...step, reason: fault, fault };
  }
}

function slewed(wanted: Level, from: Level, elapsedMs: number, { risePerS, fallPerS }: SlewLimits): Level {
  const seconds = elapsedMs / 1000;
  const highest = risePerS === undefined ? Infinity : from + risePerS * seconds;
  const lowest = fallPerS === undefined ? -Infinity : from - fallPerS * seconds;
  return Math.min(highest, Math.max(lowest, wanted));
}
