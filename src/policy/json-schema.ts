import { z } from 'zod';
import type { ControllerRegistry } from '../core/controller-kind.ts';
import { configSchema } from './config-schema.ts';
import { policySchema } from './policy-schema.ts';

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** For editors: completes and checks policies, the parameters by the controller that is named. */
export function policyJsonSchema(registry: ControllerRegistry): JsonSchema {
  const byController = Object.values(registry).map((kind): JsonSchema => {
    const { $schema: _, ...parameters } = z.toJSONSchema(kind.parameters, { io: 'input' });
    return {
      if: { properties: { controller: { const: kind.name } }, required: ['controller'] },
      then: { properties: { parameters: { ...parameters, description: kind.summary } } },
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
