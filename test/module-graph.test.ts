import { describe, expect, it } from 'vitest';
import { findCycle, forbiddenImports, importsOf, moduleGraph, reachableFrom, roomOf } from './module-graph.ts';

const graphOf = (sources: Record<string, string>) => moduleGraph(new Map(Object.entries(sources)));

describe('importsOf()', () => {
  it.each([
    ['static', "import { a } from './a.ts';"],
    ['for the side effect', "import './a.ts';"],
    ['of types alone', "import type { A } from './a.ts';"],
    ['of one type', "import { type A } from './a.ts';"],
    ['in a type', "let a: import('./a.ts').A;"],
    ['dynamic', "const a = await import('./a.ts');"],
    ['inside a template', "const a = `${(await import('./a.ts')).a}`;"],
    ['exported on', "export { a } from './a.ts';"],
    ['exported on, whole', "export * from './a.ts';"],
    ['exported on, types', "export type { A } from './a.ts';"],
    ['over several lines', "import {\n  a,\n  b,\n} from './a.ts';"],
    ['after a directive and a comment', "'use strict';\n// import './b.ts';\nimport './a.ts';"],
  ])('sees an import %s', (_kind, text) => {
    expect(importsOf(text)).toEqual(['./a.ts']);
  });

  it.each([
    ['comment', "// import './a.ts';\n/* import './a.ts'; */"],
    ['string', 'const text = "import \'./a.ts\'";'],
    ['template', "const text = `import './a.ts';`;"],
  ])('takes no %s for an import', (_kind, text) => {
    expect(importsOf(text)).toEqual([]);
  });
});

describe('moduleGraph()', () => {
  it('resolves what is relative and leaves packages', () => {
    const graph = graphOf({
      'src/sensor/a.ts': "import '../core/b.ts'; import './c.ts'; import 'koffi'; import 'node:fs';",
    });
    expect(graph.get('src/sensor/a.ts')).toEqual(['src/core/b.ts', 'src/sensor/c.ts', 'koffi', 'node:fs']);
  });
});

describe('roomOf()', () => {
  it('is the folder below src/, or the file there', () => {
    expect(roomOf('src/core/units.ts')).toBe('core');
    expect(roomOf('src/cli/live/screen.ts')).toBe('cli');
    expect(roomOf('src/index.ts')).toBe('index.ts');
    expect(roomOf('test/core/units.test.ts')).toBeUndefined();
  });
});

describe('forbiddenImports()', () => {
  const rules = { core: [], sensor: ['core'], actuator: ['core'] };

  it('lets a room import itself, what the table allows, and packages', () => {
    const graph = graphOf({
      'src/core/a.ts': "import './b.ts'; import 'node:fs';",
      'src/sensor/a.ts': "import '../core/a.ts'; import 'koffi';",
    });
    expect(forbiddenImports(graph, rules)).toEqual([]);
  });

  it('reports what the table does not allow, imports of types too', () => {
    const graph = graphOf({
      'src/core/a.ts': "import '../sensor/a.ts';",
      'src/sensor/a.ts': "import type { A } from '../actuator/a.ts';",
    });
    expect(forbiddenImports(graph, rules)).toEqual([
      'src/core/a.ts imports src/sensor/a.ts',
      'src/sensor/a.ts imports src/actuator/a.ts',
    ]);
  });

  it('reports a room that the table does not know', () => {
    const graph = graphOf({ 'src/attic/a.ts': '', 'src/constructor/a.ts': '' });
    expect(forbiddenImports(graph, rules)).toEqual([
      'src/attic/a.ts: the table has no room attic',
      'src/constructor/a.ts: the table has no room constructor',
    ]);
  });

  it('reports an import of a test', () => {
    const graph = graphOf({ 'src/core/a.ts': "import '../../test/core/helper.ts';" });
    expect(forbiddenImports(graph, rules)).toEqual(['src/core/a.ts imports test/core/helper.ts']);
  });
});

describe('findCycle()', () => {
  it('finds none where there is none, diamonds included', () => {
    const graph = graphOf({
      'a.ts': "import './b.ts'; import './c.ts';",
      'b.ts': "import './d.ts';",
      'c.ts': "import './d.ts';",
      'd.ts': '',
    });
    expect(findCycle(graph)).toBeNull();
  });

  it('names the files of a cycle', () => {
    const graph = graphOf({
      'a.ts': "import './b.ts';",
      'b.ts': "import './c.ts';",
      'c.ts': "import type { B } from './b.ts';",
    });
    expect(findCycle(graph)).toEqual(['b.ts', 'c.ts', 'b.ts']);
  });

  it('finds a file that imports itself', () => {
    expect(findCycle(graphOf({ 'a.ts': "import './a.ts';" }))).toEqual(['a.ts', 'a.ts']);
  });
});

describe('reachableFrom()', () => {
  it('follows imports and ignores the rest', () => {
    const graph = graphOf({
      'a.ts': "import './b.ts'; import 'zod';",
      'b.ts': "import './a.ts';",
      'dead.ts': "import './a.ts';",
    });
    expect([...reachableFrom(graph, ['a.ts'])].sort()).toEqual(['a.ts', 'b.ts']);
  });
});
