import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { controllers } from '../../src/controller/registry.ts';
import { configJsonSchema, policyJsonSchema } from '../../src/policy/json-schema.ts';

interface Node {
  readonly [keyword: string]: unknown;
}

const isMapping = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const typeOf = (value: unknown) => (Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value);

/** As much of JSON Schema as these schemas use; a keyword that is not handled here fails the test below. */
function violations(schema: Node, value: unknown, at = '$'): string[] {
  const found: string[] = [];
  const fail = (keyword: string) => found.push(`${at}: ${keyword}`);
  const { type, enum: values, pattern, minimum, maximum, required, properties, additionalProperties, items } = schema;
  if ('const' in schema && schema['const'] !== value) fail('const');
  if (typeof type === 'string') {
    const matches = type === 'integer' ? Number.isInteger(value) : typeOf(value) === type;
    if (!matches) return [`${at}: type`];
  }
  if (Array.isArray(values) && !values.includes(value)) fail('enum');
  if (typeof value === 'string' && typeof pattern === 'string' && !new RegExp(pattern, 'u').test(value))
    fail('pattern');
  if (typeof value === 'number' && typeof minimum === 'number' && value < minimum) fail('minimum');
  if (typeof value === 'number' && typeof maximum === 'number' && value > maximum) fail('maximum');
  if (Array.isArray(value) && isMapping(items)) {
    found.push(...value.flatMap((entry, index) => violations(items, entry, `${at}[${index}]`)));
  }
  if (isMapping(value)) {
    for (const key of (required ?? []) as string[]) if (!(key in value)) fail(`required ${key}`);
    for (const [key, entry] of Object.entries(value)) {
      const property = isMapping(properties) ? properties[key] : undefined;
      if (isMapping(property)) found.push(...violations(property, entry, `${at}.${key}`));
      else if (additionalProperties === false) fail(`unknown ${key}`);
    }
  }
  for (const part of (schema['allOf'] ?? []) as Node[]) found.push(...violations(part, value, at));
  if (isMapping(schema['if']) && isMapping(schema['then']) && violations(schema['if'], value).length === 0) {
    found.push(...violations(schema['then'], value, at));
  }
  if (Array.isArray(schema['oneOf'])) {
    const fitting = (schema['oneOf'] as Node[]).filter((one) => violations(one, value, at).length === 0);
    if (fitting.length !== 1) fail('oneOf');
  }
  if (Array.isArray(schema['anyOf'])) {
    const fits = (schema['anyOf'] as Node[]).some((one) => violations(one, value, at).length === 0);
    if (!fits) fail('anyOf');
  }
  return found;
}

const HANDLED = new Set(
  `$schema title type enum const pattern minimum maximum required properties additionalProperties propertyNames items
  allOf anyOf oneOf if then description default examples minItems maxItems minLength maxLength`.split(/\s+/),
);

function keywordsIn(schema: Node): string[] {
  const nested = [
    schema['items'],
    schema['if'],
    schema['then'],
    ...((schema['allOf'] ?? schema['anyOf'] ?? []) as Node[]),
  ];
  const properties = isMapping(schema['properties']) ? Object.values(schema['properties']) : [];
  return [...Object.keys(schema), ...[...nested, ...properties].filter(isMapping).flatMap(keywordsIn)];
}

const policySchema = policyJsonSchema(controllers) as Node;
const configSchema = configJsonSchema() as Node;

describe('the JSON Schemas', () => {
  it('use only the keywords that this test knows', () => {
    for (const keyword of [...keywordsIn(policySchema), ...keywordsIn(configSchema)]) {
      expect(HANDLED, keyword).toContain(keyword);
    }
  });

  it.each(readdirSync('policies'))('accept policies/%s', (name) => {
    expect(violations(policySchema, parse(readFileSync(`policies/${name}`, 'utf8')))).toEqual([]);
  });

  it('accept a config', () => {
    const config = {
      services: [{ name: 'web', target: { port: 80 }, slo: { quantile: 'p99', latency: '5 ms' }, policy: 'pid.yaml' }],
      actuators: { frequency: { min: '1.2GHz' } },
    };
    expect(violations(configSchema, config)).toEqual([]);
  });

  it('refuse what the parser refuses', () => {
    const policy = (extra: object) => violations(policySchema, { controller: 'pid', ...extra });
    expect(policy({ parameters: { setpiont: 1 } })).toEqual(['$.parameters: unknown setpiont']);
    expect(policy({ parameters: { kp: 'high' } })).toEqual(['$.parameters.kp: type']);
    expect(policy({ parameters: { idleAfter: 'soon' } })).toEqual(['$.parameters.idleAfter: pattern']);
    expect(policy({ interval: 100 })).toEqual(['$.interval: type']);
    expect(policy({ scedule: [] })).toEqual(['$: unknown scedule']);
    expect(policy({ fallback: 'fast' })).toEqual(['$.fallback: anyOf']);
    expect(policy({ fallback: { controller: 'fixed' } })).toEqual([]);
    const evening = { cron: '0 22 * * *', set: { parameters: { setpiont: 0.9 } } };
    expect(policy({ schedule: [evening] })).toEqual(['$.schedule[0].set.parameters: unknown setpiont']);
    expect(violations(policySchema, { controller: 'fixed', parameters: { kp: 1 } })).toEqual([
      '$.parameters: unknown kp',
    ]);
    expect(violations(policySchema, { controller: 'pdi' })).toEqual(['$.controller: enum']);
    const service = { name: 'web', target: { port: 80, ports: [81] }, slo: { latency: '5ms' }, policy: 'p.yaml' };
    expect(violations(configSchema, { services: [service] })).toEqual(['$.services[0].target: oneOf']);
    expect(violations(configSchema, {})).toEqual(['$: required services']);
  });

  it('describe every property', () => {
    const undescribed = (schema: Node, at: string): string[] => [
      ...(schema['type'] !== undefined && schema['description'] === undefined && !at.endsWith('[]') ? [at] : []),
      ...Object.entries(isMapping(schema['properties']) ? schema['properties'] : {}).flatMap(([key, property]) =>
        isMapping(property) ? undescribed(property, `${at}.${key}`) : [],
      ),
      ...(isMapping(schema['items']) ? undescribed(schema['items'], `${at}[]`) : []),
    ];
    expect(undescribed({ ...policySchema, description: 'root' }, '$')).toEqual([]);
    expect(undescribed({ ...configSchema, description: 'root' }, '$')).toEqual([]);
  });
});
