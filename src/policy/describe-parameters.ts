import { z } from 'zod';
import type { ControllerKind } from '../core/controller-kind.ts';

export interface ParameterDescription {
  readonly name: string;
  readonly description: string;
  /** As files write it; absent where the parameter is optional and has none. */
  readonly default?: unknown;
  /** In JSON Schema's words: the type, its bounds, the pattern of a quantity and examples of it. */
  readonly schema: z.core.JSONSchema.BaseSchema;
}

/** What a controller can be told, for humans, editors and defaults: all from its one schema. */
export function describeParameters(kind: ControllerKind): readonly ParameterDescription[] {
  const { properties = {} } = z.toJSONSchema(kind.parameters, { io: 'input' });
  return Object.entries(properties).map(([name, property]) => {
    const schema = property as z.core.JSONSchema.BaseSchema;
    return {
      name,
      description: schema.description ?? '',
      ...(schema.default === undefined ? {} : { default: schema.default }),
      schema,
    };
  });
}
