import { z } from 'zod';
import { type ControllerKind, controllerKind } from '../core/controller-kind.ts';
import type { ControllerInput, ControllerOutput, Level } from '../core/controller.ts';
import { messageOf } from '../core/errors.ts';
import { durationMs } from '../core/quantity-schema.ts';
import { guardedController, type PlainLaw } from './guarded-controller.ts';
import { guardParameters } from './guard-parameters.ts';
import { percent } from './percent.ts';

/** What a module is asked: plain data, no more. */
export interface ModuleRequest {
  /** Set where the law starts anew, from the level that the machine is at. */
  readonly startLevel?: Level;
  readonly input: ControllerInput;
}

export interface ModuleAnswer {
  readonly level: Level;
  readonly reason: string;
}

/** A user's module, running where it can do no harm. */
export interface HostedModule {
  /**
   * Waits for the answer, no longer than the deadline.
   *
   * @returns null while the module is still being started
   * @throws Error for a module that does not answer in time, throws, answers nonsense or has ended
   */
  ask(request: ModuleRequest): ModuleAnswer | null;
}

export interface ModuleOptions {
  /** Absolute, or relative to the working directory. */
  readonly file: string;
  readonly deadlineMs: number;
}

/** Checks and reads the module's file now, and starts it when it is first asked. @throws Error saying why it may not be run */
export type OpenModule = (options: ModuleOptions) => HostedModule;

const parameters = z.strictObject({
  file: z
    .string()
    .min(1)
    .default('controller.mjs')
    .describe('The JavaScript module, relative to the policy: exports step(input) and, if it likes, start(level)'),
  deadline: durationMs({ min: '1ms', max: '1s' }).prefault('20ms').describe('How long a step may take'),
  ...guardParameters.shape,
});

export interface ModuleState {
  readonly asked: Level;
  readonly starts: boolean;
}

function moduleLaw(hosted: HostedModule): PlainLaw<ModuleState> {
  function step(input: ControllerInput, { asked, starts }: ModuleState): ControllerOutput<ModuleState> {
    const { limits } = input;
    const answer = hosted.ask({ ...(starts ? { startLevel: asked } : {}), input });
    if (answer === null) {
      return {
        level: asked,
        state: { asked, starts },
        reason: `the module is being started: staying at ${percent(asked)}`,
      };
    }
    const level = Math.min(limits.max, Math.max(limits.min, answer.level));
    return { level, state: { asked: level, starts: false }, reason: answer.reason };
  }
  return {
    name: 'module',
    initial: (level) => ({ asked: level, starts: true }),
    step,
    moved: (_, level) => ({ asked: level, starts: true }),
  };
}

/**
 * A law in a JavaScript file of the user's.
 *
 * @param open runs it in a thread of its own: controllers themselves touch neither files nor threads
 * @param resolvePath makes a path that is relative to a directory one that is not
 */
export function moduleKind(open: OpenModule, resolvePath: (directory: string, file: string) => string): ControllerKind {
  return controllerKind({
    name: 'module',
    summary: 'The user’s own law as a JavaScript module, which runs in a thread of its own',
    parameters,
    create({ file, deadline, ...guard }, { directory, onFile }) {
      const path = resolvePath(directory, file);
      onFile?.(path);
      try {
        return guardedController(moduleLaw(open({ file: path, deadlineMs: deadline })), { ...guard, setpoint: 0.85 });
      } catch (error) {
        const message = `${path} cannot be run: ${messageOf(error)}`;
        throw new z.ZodError([{ code: 'custom', path: ['file'], message, input: file }]);
      }
    },
  });
}
