import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { isMap, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { type FileProblem, messageOf, PolicyError } from '../core/errors.ts';
import { tooDeepAt } from './nesting.ts';

/** No policy or config comes near this; a log or a disk image given by mistake does. */
const LARGEST_BYTES = 1024 * 1024;
const WRITABLE_BY_ALL = 0o002;
/** More alias expansions than this are a bomb, not a file. */
const MOST_ALIASES = 100;
/** One unclosed bracket can make the parser complain of every line after it. */
const MOST_COMPLAINTS = 20;

/** A YAML file's data, and where in the file each part of it stands. */
export interface YamlFile {
  readonly file: string;
  readonly data: unknown;
  /**
   * A problem with the value at a path; where it is absent, at the nearest parent that is there.
   *
   * @param offset the character of the value, a text, that is wrong. Known in the file where the text stands there as it is.
   */
  problemAt(path: readonly PropertyKey[], message: string, offset?: number): FileProblem;
  /** A problem with a key of the mapping at a path. */
  problemAtKey(path: readonly PropertyKey[], key: string, message: string): FileProblem;
}

/** @throws PolicyError for a file that cannot be read, is too large, or is no YAML that can be trusted */
export function readYamlFile(file: string): YamlFile {
  return parseYaml(file, readText(file));
}

/**
 * Root takes no file that everybody can write: whoever does would decide how fast the machine is.
 *
 * @throws PolicyError for a file that cannot be read or is too large
 */
export function readText(file: string): string {
  const unreadable = (why: string, cause?: unknown) =>
    new PolicyError('unreadable', [{ file, line: 1, column: 1, message: `cannot be read: ${why}` }], { cause });
  let descriptor: number | undefined;
  try {
    // What is checked is what is read. Not a FIFO, which would be waited for.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = fstatSync(descriptor);
    if (!status.isFile()) throw new Error('it is not a regular file, expected a YAML file');
    if (status.size > LARGEST_BYTES) throw new Error(`it has ${status.size} bytes, expected at most ${LARGEST_BYTES}`);
    if (process.geteuid?.() === 0 && (status.mode & WRITABLE_BY_ALL) !== 0) {
      const mode = (status.mode & 0o7777).toString(8);
      throw new Error(`everybody can write it (mode ${mode}), expected it without o+w for root to follow it`);
    }
    return readFileSync(descriptor, 'utf8');
  } catch (error) {
    throw unreadable(withoutCall(messageOf(error)), error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** @throws PolicyError with every syntax error, duplicate key and unknown tag */
export function parseYaml(file: string, text: string): YamlFile {
  const lines = new LineCounter();
  const problemAtOffset = (offset: number, message: string): FileProblem => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col), message };
  };
  const bad = (problems: readonly FileProblem[], cause?: unknown) => new PolicyError('bad-file', problems, { cause });

  const deepOffset = tooDeepAt(text);
  if (deepOffset !== null) {
    // Nothing has filled the line counter yet.
    const before = text.slice(0, deepOffset).split('\n');
    const place = { file, line: before.length, column: before.at(-1)!.length + 1 };
    throw bad([{ ...place, message: 'nested too deeply or indented too far, expected a policy or a config' }]);
  }
  const document = withoutTraces(() =>
    parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true }),
  );
  const complaints = [...document.errors, ...document.warnings];
  if (complaints.length > 0) {
    throw bad(
      complaints.slice(0, MOST_COMPLAINTS).map(({ pos, message }) => problemAtOffset(pos[0], oneLine(message))),
    );
  }

  visit(document, {
    Alias(_, alias, path) {
      const target = alias.resolve(document);
      if (target !== undefined && path.includes(target))
        throw bad([problemAtOffset(alias.range?.[0] ?? 0, `*${alias.source} stands within what it names`)]);
    },
  });

  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: MOST_ALIASES });
  } catch (error) {
    throw bad([problemAtOffset(0, oneLine(messageOf(error)))], error);
  }

  const nodeAt = (path: readonly PropertyKey[]): Node | null => {
    for (let length = path.length; length > 0; length--) {
      const node: unknown = document.getIn(path.slice(0, length), true);
      if (node instanceof Object && 'range' in node) return node as Node;
    }
    return document.contents;
  };
  const problemAtNode = (node: Node | null, message: string, within?: number) => {
    const start = node?.range?.[0] ?? 0;
    if (within === undefined || !isScalar(node) || typeof node.value !== 'string')
      return problemAtOffset(start, message);
    // Behind an opening quote or a block's header; not there in these very words where lines are folded or quotes escaped.
    const behind = text.slice(start, node.range?.[1]).indexOf(node.value.trimEnd());
    return problemAtOffset(behind < 0 ? start : start + behind + within, message);
  };

  return {
    file,
    data,
    problemAt: (path, message, offset) => problemAtNode(nodeAt(path), message, offset),
    problemAtKey(path, key, message) {
      const parent = nodeAt(path);
      const pair = isMap(parent)
        ? parent.items.find((item) => isScalar(item.key) && item.key.value === key)
        : undefined;
      return problemAtNode(isScalar(pair?.key) ? pair.key : parent, message);
    },
  };
}

/** The parser makes an error of each complaint, of maybe thousands: to trace the stack for each takes most of the time. */
function withoutTraces<T>(parse: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return parse();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The parser's messages quote the source on further lines; a problem is one line. */
const oneLine = (message: string) => message.split('\n', 1)[0]!.trim();

/** `ENOENT: no such file or directory, stat '/x'` → without the call, which tells the reader nothing. */
const withoutCall = (message: string) => message.replace(/, (stat|open|read) '.*'$/, '');
