import type { z } from 'zod';
import type { Controller } from './controller.ts';

/** A control law as policies name it: what it is for, its parameters, and how to make one. */
export interface ControllerKind {
  readonly name: string;
  /** One sentence for `policy list`. */
  readonly summary: string;
  /** Strict; every parameter has a description, and a default or is optional. */
  readonly parameters: z.ZodObject;
  /**
   * @param parameters as a policy file writes them, units and all: `{ hold: '5s' }`; what is absent takes its default
   * @throws z.ZodError for parameters that the schema refuses
   */
  create(parameters: unknown): Controller;
}

/** By name. */
export type ControllerRegistry = Readonly<Record<string, ControllerKind>>;

/** Ties a schema to the law that is made from what it parses. */
export function controllerKind<Schema extends z.ZodObject>(kind: {
  readonly name: string;
  readonly summary: string;
  readonly parameters: Schema;
  readonly create: (parameters: z.output<Schema>) => Controller;
}): ControllerKind {
  return { ...kind, create: (parameters) => kind.create(kind.parameters.parse(parameters)) };
}
