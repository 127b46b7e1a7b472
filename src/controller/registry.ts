import type { ControllerRegistry } from '../core/controller-kind.ts';
import { fixed } from './fixed.ts';
import { pid } from './pid.ts';
import { threshold } from './threshold.ts';

/** Every controller that a policy can name. */
export const controllers: ControllerRegistry = { pid, threshold, fixed };
