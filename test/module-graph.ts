import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import ts from 'typescript';

/** By file, relative to the repository: what it imports, files of ours as such and packages by their specifier. */
export type ModuleGraph = ReadonlyMap<string, readonly string[]>;

/** Every import of the text: static, dynamic, of types alone, and what is exported on. Comments and strings are none. */
export function importsOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map((reference) => reference.fileName);
}

/** @param sources text by file, paths relative to the repository with forward slashes */
export function moduleGraph(sources: ReadonlyMap<string, string>): ModuleGraph {
  return new Map(
    [...sources].map(([file, text]) => [
      file,
      importsOf(text).map((specifier) =>
        specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : specifier,
      ),
    ]),
  );
}

/** The text of every module below the directories. */
export function readSources(root: string, directories: readonly string[]): Map<string, string> {
  const files = directories.flatMap((directory) => filesBelow(root, directory));
  return new Map(
    files.filter((file) => /\.m?ts$|\.mjs$/.test(file)).map((file) => [file, readFileSync(join(root, file), 'utf8')]),
  );
}

/** Paths relative to the root; none where the directory is absent. */
export function filesBelow(root: string, directory: string): string[] {
  if (!existsSync(join(root, directory))) return [];
  return readdirSync(join(root, directory), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.relative(root, posix.join(entry.parentPath, entry.name)))
    .sort();
}

/** The room that a file of src/ lives in: `src/core/units.ts` → `core`, `src/index.ts` → `index.ts`. */
export function roomOf(file: string): string | undefined {
  return /^src\/([^/]+)/.exec(file)?.[1];
}

/**
 * @param rules by room, the other rooms that it may import
 * @returns one line an import that the rules do not allow
 */
export function forbiddenImports(graph: ModuleGraph, rules: Readonly<Record<string, readonly string[]>>): string[] {
  return [...graph].flatMap(([file, imports]) => {
    const room = roomOf(file);
    if (room === undefined) return [];
    const allowed = Object.hasOwn(rules, room) ? rules[room] : undefined;
    if (allowed === undefined) return [`${file}: the table has no room ${room}`];
    return imports
      .filter((target) => {
        const targetRoom = roomOf(target);
        return targetRoom === undefined
          ? /^(test|bench|deploy)\//.test(target)
          : targetRoom !== room && !allowed.includes(targetRoom);
      })
      .map((target) => `${file} imports ${target}`);
  });
}

/** @returns the files of one cycle, the first repeated at its end, or null where there is none */
export function findCycle(graph: ModuleGraph): string[] | null {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return null;
    path.push(file);
    for (const target of graph.get(file) ?? []) {
      const cycle = visit(target);
      if (cycle !== null) return cycle;
    }
    path.pop();
    done.add(file);
    return null;
  };
  for (const file of graph.keys()) {
    const cycle = visit(file);
    if (cycle !== null) return cycle;
  }
  return null;
}

/** The files that importing the entries loads, the entries among them. */
export function reachableFrom(graph: ModuleGraph, entries: Iterable<string>): Set<string> {
  const reached = new Set<string>();
  const pending = [...entries];
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    if (reached.has(file) || !graph.has(file)) continue;
    reached.add(file);
    pending.push(...graph.get(file)!);
  }
  return reached;
}
