import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** The codes in the type arguments of the classes that extend TailgovError. */
const codesIn = (source: string) =>
  [...source.matchAll(/extends TailgovError<([^>]*)>/g)].flatMap(([, union]) =>
    [...union!.matchAll(/'([a-z-]+)'/g)].map(([, code]) => code!),
  );

test('docs/troubleshoot.md explains every error code, and none that there is not', () => {
  const codes = [
    ...codesIn(read('src/core/errors.ts')),
    ...codesIn(read('src/telemetry/control-client.ts')),
    'internal',
  ];
  expect(codes.length).toBeGreaterThan(15);
  const explained = [...read('docs/troubleshoot.md').matchAll(/^\| `([a-z-]+)` +\|/gm)].map(([, code]) => code!);
  const inTable = explained.slice(explained.indexOf('not-root'));
  expect(new Set(inTable)).toEqual(new Set(codes));
});
