import { resolve } from 'node:path';
import { moduleKind } from '../controller/module.ts';
import { controllers as pure } from '../controller/registry.ts';
import type { ControllerRegistry } from '../core/controller-kind.ts';
import { openModuleThread } from './module-thread.ts';

const { fixed, ...laws } = pure;

/** Every controller that a policy can name, in the order in which they are listed. */
export const controllers: ControllerRegistry = {
  ...laws,
  module: moduleKind(openModuleThread, resolve),
  fixed: fixed!,
};
