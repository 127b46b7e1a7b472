import type { ControllerRegistry } from '../core/controller-kind.ts';
import { expression } from './expression.ts';
import { fixed } from './fixed.ts';
import { model } from './model.ts';
import { pid } from './pid.ts';
import { threshold } from './threshold.ts';
import { utilization } from './utilization.ts';

/** Every controller that a policy can name. */
export const controllers: ControllerRegistry = { pid, threshold, model, utilization, expression, fixed };
