import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectedOf, rowsOf, withReference } from '../../deploy/config-reference.mjs';
import { configJsonSchema } from '../../src/policy/json-schema.ts';

const page = readFileSync(new URL('../../docs/configure.md', import.meta.url), 'utf8');
const schema = configJsonSchema() as Parameters<typeof rowsOf>[0];

describe('docs/configure.md', () => {
  test('is what the schema says; `node deploy/config-reference.mjs` after a build makes it so', async () => {
    expect(await withReference(page, schema)).toBe(page);
  });

  test('has a meaning for every key', () => {
    const rows = rowsOf(schema);
    expect(rows.length).toBeGreaterThan(15);
    expect(rows.filter(([, , , meaning]) => meaning === '')).toEqual([]);
  });
});

describe('expectedOf()', () => {
  test('says choices, ranges, lists and alternatives in words', () => {
    expect(expectedOf({ enum: ['on', 'off'] })).toBe('`on`, `off`');
    expect(expectedOf({ type: 'integer', minimum: 1, maximum: 9 })).toBe('1 to 9');
    expect(expectedOf({ type: 'array', items: { type: 'string' } })).toBe('list of string');
    expect(expectedOf({ anyOf: [{ const: 'yield' }, { properties: { times: { type: 'number' } } }] })).toBe(
      '`yield`, or { times: number }',
    );
  });
});

test('withReference() refuses a page that has no place for the tables', async () => {
  await expect(withReference('# A page', schema)).rejects.toThrow('not there');
});
