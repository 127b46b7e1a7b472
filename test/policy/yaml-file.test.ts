import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PolicyError } from '../../src/core/errors.ts';
import { parseYaml, readYamlFile } from '../../src/policy/yaml-file.ts';
import { problemsOf, scratchFiles } from './scratch-files.ts';

const files = scratchFiles();
const problemsIn = (text: string) => problemsOf(() => parseYaml('x.yaml', text));

describe('parseYaml()', () => {
  it('finds values and keys in the text', () => {
    const yaml = parseYaml('x.yaml', 'a:\n  - b: 1\n    c: { d: 2 }\n');
    expect(yaml.data).toEqual({ a: [{ b: 1, c: { d: 2 } }] });
    expect(yaml.problemAt(['a', 0, 'c', 'd'], 'no')).toEqual({ file: 'x.yaml', line: 3, column: 13, message: 'no' });
    expect(yaml.problemAtKey(['a', 0], 'c', 'no')).toMatchObject({ line: 3, column: 5 });
  });

  it('points at the nearest parent of what is missing', () => {
    const yaml = parseYaml('x.yaml', 'a:\n  b: 1\n');
    expect(yaml.problemAt(['a', 'c', 'd'], 'missing')).toMatchObject({ line: 2, column: 3 });
    expect(parseYaml('x.yaml', '').problemAt(['a'], 'missing')).toMatchObject({ line: 1, column: 1 });
  });

  it('tells every duplicate key at its place', () => {
    expect(problemsIn('a: 1\na: 2\nb: 1\nb: 2\n')).toEqual([
      '2:1: Map keys must be unique',
      '4:1: Map keys must be unique',
    ]);
  });

  it('tells syntax errors and tags that it does not know', () => {
    expect(problemsIn('a: [1, 2\n')[0]).toMatch(/^2:1: Flow sequence .* end with a \]$/);
    expect(problemsIn('a: !js/function x\n')[0]).toMatch(/^1:4: Unresolved tag/);
    expect(problemsIn('a: 1\n---\nb: 2\n')[0]).toMatch(/^2:1: .*multiple documents/);
  });

  it('refuses alias bombs', () => {
    const levels = Array.from(
      { length: 9 },
      (_, level) => `a${level + 1}: &a${level + 1} [${`*a${level},`.repeat(9)}]`,
    );
    const [problem] = problemsIn(['a0: &a0 [x]', ...levels].join('\n'));
    expect(problem).toMatch(/alias/i);
  });

  it('refuses an alias within what it names: data without an end', () => {
    expect(problemsIn('a: &a\n  b: { c: *a }\n')).toEqual(['2:11: *a stands within what it names']);
    expect(parseYaml('x.yaml', 'a: &a { b: 1 }\nc: *a\n').data).toEqual({ a: { b: 1 }, c: { b: 1 } });
  });

  it('takes a flow collection of many entries, which is no deeper for it', () => {
    const entries = Array.from({ length: 500 }, (_, at) => `a${at}: { b: [${at}, ${at}] }`).join(', ');
    expect(Object.keys(parseYaml('x.yaml', `{${entries}}`).data as object)).toHaveLength(500);
  });

  // The parser recurses: unchecked, these exhaust its stack, and V8 may abort the process.
  it.each([
    ['flow sequences', '['.repeat(100_000)],
    ['flow mappings', '{a: '.repeat(100_000)],
    ['sequences on a line', '- '.repeat(100_000)],
    ['keys on a line', '? '.repeat(100_000)],
    ['values on a line', 'a: '.repeat(100_000)],
    ['indented mappings', Array.from({ length: 1000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
    ['values in a flow mapping', `- { cron: "x", ${': '.repeat(3000)}\n  - { set: {} }`],
    ['values in a flow sequence, line by line', `[${':\n '.repeat(3000)}]`],
    ['brackets after as many closing ones', `${']'.repeat(2000)}${'['.repeat(2000)}`],
  ])('refuses deep nesting of %s', (_, text) => {
    expect(problemsIn(text)).toEqual([expect.stringMatching(/^\d+:\d+: nested too deeply/)]);
  });

  it('answers any text with data or a PolicyError', () => {
    const piece = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '-',
      '[',
      ']',
      '{',
      '}',
      ',',
      '&a',
      '*a',
      '!',
      '|',
      '>',
      '"',
      "'",
      '#',
      '?',
      '%',
      '\t',
      '0',
      '~',
      '<<',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join('')),
        ),
        (text) => {
          try {
            parseYaml('x.yaml', text);
          } catch (error) {
            expect(error).toBeInstanceOf(PolicyError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('readYamlFile()', () => {
  it('refuses files larger than 1 MiB, directories and what is not there', () => {
    const large = files.write('large.yaml', '#'.repeat(1024 * 1024 + 1));
    expect(problemsOf(() => readYamlFile(large))).toEqual([
      '1:1: cannot be read: it has 1048577 bytes, expected at most 1048576',
    ]);
    expect(problemsOf(() => readYamlFile(files.directory))).toEqual([
      '1:1: cannot be read: it is not a regular file, expected a YAML file',
    ]);
    expect(problemsOf(() => readYamlFile(`${files.directory}/nowhere.yaml`))).toEqual([
      '1:1: cannot be read: ENOENT: no such file or directory',
    ]);
  });

  it('says unreadable with the cause', () => {
    try {
      readYamlFile('/nowhere.yaml');
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'unreadable', cause: { code: 'ENOENT' } });
    }
  });
});
