/**
 * The error classes that callers branch on. Each carries a stable `code` and the data that a caller needs; the message
 * says the action, then the state, without a full stop. Expected absence (no boost file, a CPU offline) is a result.
 */
export abstract class TailgovError<Code extends string = string> extends Error {
  /** Stable, documented in docs/troubleshoot.md, fit for matching. */
  readonly code: Code;

  constructor(code: Code, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** The sensor cannot be opened or has failed. */
export class SensorError extends TailgovError<
  | 'not-root'
  | 'no-btf'
  | 'no-libbpf'
  | 'kernel-too-old'
  | 'bpf-refused'
  | 'object-missing'
  | 'no-such-target'
  | 'too-many-targets'
  | 'closed'
> {}

/** The machine's files cannot be governed or restored as a whole; single refused writes are results, not errors. */
export class ActuatorError extends TailgovError<
  'no-cpufreq' | 'journal-failed' | 'already-governed' | 'engage-failed'
> {}

/** One thing that is wrong in a config or policy file. Line and column count from 1. */
export interface FileProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** What is wrong, then what was expected. */
  readonly message: string;
}

/** A config or policy file is bad; all of its problems at once. */
export class PolicyError extends TailgovError<'bad-file' | 'unreadable'> {
  readonly problems: readonly FileProblem[];

  constructor(code: 'bad-file' | 'unreadable', problems: readonly FileProblem[], options?: { cause?: unknown }) {
    super(code, problems.map(formatProblem).join('\n'), options);
    this.problems = problems;
  }
}

/** `FILE:LINE:COLUMN: what is wrong, what was expected` */
export function formatProblem(problem: FileProblem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.message}`;
}

/** The caller used a command wrongly: exit code 2. */
export class UsageError extends TailgovError<'usage'> {
  constructor(message: string, options?: { cause?: unknown }) {
    super('usage', message, options);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The stable code of our own errors; `internal` for anything else, which is a bug of ours. */
export function codeOf(error: unknown): string {
  return error instanceof TailgovError ? String(error.code) : 'internal';
}
