import type { z } from 'zod';
import type { Controller } from './controller.ts';

/** Where a policy stands, for parameters that name files. */
export interface PolicyPlace {
  /** The policy file's directory: relative paths begin there. */
  readonly directory: string;
  /** Told each other file that the controller is made from, before it is read: the policy changes when one of them does. */
  readonly onFile?: (path: string) => void;
}

/** A control law as policies name it: what it is for, its parameters, and how to make one. */
export interface ControllerKind {
  readonly name: string;
  /** One sentence for `policy list`. */
  readonly summary: string;
  /** Strict; every parameter has a description, and a default or is optional. */
  readonly parameters: z.ZodObject;
  /**
   * @param parameters as a policy file writes them, units and all: `{ hold: '5s' }`; what is absent takes its default
   * @param place absent: the working directory
   * @throws z.ZodError for parameters that the schema refuses, or that turn out to be wrong when they are used
   */
  create(parameters: unknown, place?: PolicyPlace): Controller;
}

/** By name. */
export type ControllerRegistry = Readonly<Record<string, ControllerKind>>;

/** Ties a schema to the law that is made from what it parses. */
export function controllerKind<Schema extends z.ZodObject>(kind: {
  readonly name: string;
  readonly summary: string;
  readonly parameters: Schema;
  readonly create: (parameters: z.output<Schema>, place: PolicyPlace) => Controller;
}): ControllerKind {
  return {
    ...kind,
    create: (parameters, place = { directory: '.' }) => kind.create(kind.parameters.parse(parameters), place),
  };
}
