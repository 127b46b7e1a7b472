import { z } from 'zod';
import type { ControllerRegistry } from '../core/controller-kind.ts';
import { configSchema } from './config-schema.ts';
import { policySchema } from './policy-schema.ts';

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** For editors: completes and checks policies, the parameters by the controller that is named. */
export function policyJsonSchema(registry: ControllerRegistry): JsonSchema {
  const byController = Object.values(registry).map((kind): JsonSchema => {
    const { $schema: _, ...schema } = z.toJSONSchema(kind.parameters, { io: 'input' });
    const parameters = { ...schema, description: kind.summary };
    // What a rule of the schedule sets comes on top of the policy's own parameters, so that it need not be whole.
    const { required: __, ...inRule } = parameters;
    return {
      if: { properties: { controller: { const: kind.name } }, required: ['controller'] },
      then: {
        properties: {
          parameters,
          schedule: { items: { properties: { set: { properties: { parameters: inRule } } } } },
        },
      },
    };
  });
  return {
    title: 'tailgov policy',
    ...z.toJSONSchema(policySchema(Object.keys(registry)), { io: 'input' }),
    allOf: byController,
  };
}

/** For editors: completes and checks tailgov.yaml. */
export function configJsonSchema(): JsonSchema {
  return { title: 'tailgov config', ...z.toJSONSchema(configSchema, { io: 'input' }) };
}
