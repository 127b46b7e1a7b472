import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf, PolicyError, UsageError, type FileProblem } from '../core/errors.ts';
import { CpufreqModel } from './cpufreq-model.ts';
import { expandLine } from './expand-line.ts';
import type { MockMachine } from './mock-machine.ts';
import { naturalOrder } from './natural-order.ts';

const ENDING = '.tsv';
/** The largest machine that is shipped has some 3,000; each line of a description may stand for thousands. */
const MOST_FILES = 100_000;
const HEADER = /^#\s*(machine|source|status):\s*(.*)$/;
const FORMAT_NOTE =
  '# one file a line: its path below /sys, a tab, its text with newlines as \\n, tabs as \\t, backslashes as \\\\';
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', '\\': '\\' };

/**
 * A mock file: `# machine:`, `# source:` and `# status:` lines, then one file of the machine a line: its path below /sys, a
 * tab, its text with newlines as `\n`, tabs as `\t` and backslashes as `\\`. Other lines that begin with `#` are comments.
 * Where the status is `described`, a line may stand for many files: see `expandLine`. Each file is given once.
 * @throws PolicyError with everything that is wrong
 */
export function parseMock(text: string, file: string): MockMachine {
  const header: Record<string, string> = {};
  const files = new Map<string, string>();
  const problems: FileProblem[] = [];
  const problem = (line: number, column: number, message: string) => problems.push({ file, line, column, message });

  for (const [index, line] of text.split('\n').entries()) {
    if (line === '') continue;
    if (line.startsWith('#')) {
      const match = HEADER.exec(line);
      if (match !== null) header[match[1]!] = match[2]!.trim();
      continue;
    }
    const tab = line.indexOf('\t');
    if (tab < 0) {
      problem(index + 1, 1, `no tab in ${JSON.stringify(line.slice(0, 60))}, expected a path, a tab, a text`);
      continue;
    }
    const lineFiles = filesOf(line.slice(0, tab), unescape(line.slice(tab + 1)), header['status']);
    if (typeof lineFiles === 'string') {
      problem(index + 1, 1, lineFiles);
      continue;
    }
    if (files.size + lineFiles.length > MOST_FILES) {
      problem(index + 1, 1, `more than ${MOST_FILES} files up to here, expected one machine`);
      break;
    }
    for (const [path, content] of lineFiles) {
      if (!isRelativePath(path)) problem(index + 1, 1, `${JSON.stringify(path)}, expected a path below /sys`);
      else if (files.has(path)) problem(index + 1, 1, `${path} again, expected each file once`);
      else files.set(path, content);
    }
  }
  for (const key of ['machine', 'source', 'status']) {
    if (!header[key]) problem(1, 1, `no header, expected a line "# ${key}: …"`);
  }
  const status = header['status'];
  if (status !== undefined && status !== 'recorded' && status !== 'described') {
    problem(1, 1, `status ${JSON.stringify(status)}, expected "recorded" or "described"`);
  }
  for (const [path, inside] of blockedPaths(files)) {
    problem(1, 1, `${path} is a file, and ${inside} lies in it, expected a file or a directory`);
  }
  if (problems.length > 0) throw new PolicyError('bad-file', problems);
  return {
    name: basename(file, ENDING),
    machine: header['machine']!,
    source: header['source']!,
    status: status === 'recorded' ? 'recorded' : 'described',
    files,
  };
}

/** A recording is taken as it stands. */
function filesOf(path: string, text: string, status: string | undefined) {
  return status === 'described' ? expandLine(path, text) : [[path, text] as const];
}

/** The text of a mock file, which `parseMock` reads back. */
export function formatMock(mock: Omit<MockMachine, 'name'>): string {
  const header = [`# machine: ${mock.machine}`, `# source: ${mock.source}`, `# status: ${mock.status}`, FORMAT_NOTE];
  const lines = [...mock.files].map(([path, text]) => `${path}\t${escape(text)}`);
  return `${[...header, ...lines].join('\n')}\n`;
}

/** @throws PolicyError where the file cannot be read or is bad */
export function loadMock(file: string): MockMachine {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const problem = { file, line: 1, column: 1, message: `${messageOf(error)}, expected a mock file` };
    throw new PolicyError('unreadable', [problem], { cause: error });
  }
  return parseMock(text, file);
}

/** The mocks in a directory. @throws PolicyError where one of them is bad */
export function listMocks(directory: string): readonly MockMachine[] {
  const names = readdirSync(directory).filter((name) => name.endsWith(ENDING));
  return naturalOrder(names).map((name) => loadMock(join(directory, name)));
}

/** @throws UsageError where the directory holds no mock of that name */
export function findMock(name: string, directory: string): MockMachine {
  const file = join(directory, `${name}${ENDING}`);
  if (basename(name) === name && existsSync(file)) return loadMock(file);
  const known = naturalOrder(readdirSync(directory).filter((entry) => entry.endsWith(ENDING)));
  const names = known.map((entry) => basename(entry, ENDING)).join(', ');
  throw new UsageError(`no mock named ${JSON.stringify(name)}, expected one of ${names}`);
}

/**
 * Writes the machine's files below `directory`, which then plays /sys. Files that the kernel would let nobody write are
 * read-only. @throws UsageError where the directory holds something already
 */
export function writeMock(mock: MockMachine, directory: string): void {
  if (existsSync(directory) && (!statSync(directory).isDirectory() || readdirSync(directory).length > 0)) {
    throw new UsageError(`${directory} is not an empty directory, expected one that is empty or absent`);
  }
  const model = new CpufreqModel(
    (path) => mock.files.get(path),
    () => [],
  );
  for (const [path, text] of mock.files) {
    const writable = model.writable(path) || /\/cpu\d+\/online$/.test(path);
    const target = join(directory, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, `${text}\n`, { mode: writable ? 0o644 : 0o444, flag: 'wx' });
  }
}

const unescape = (text: string) => text.replace(/\\([nt\\])/g, (_, letter: string) => ESCAPES[letter]!);

const escape = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t');

const isRelativePath = (path: string) =>
  path !== '' && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');

function* blockedPaths(files: ReadonlyMap<string, string>): Iterable<readonly [string, string]> {
  for (const path of files.keys()) {
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      if (files.has(path.slice(0, end))) yield [path.slice(0, end), path];
    }
  }
}
