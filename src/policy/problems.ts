import { z } from 'zod';
import type { FileProblem } from '../core/errors.ts';
import { didYouMean } from './did-you-mean.ts';
import type { YamlFile } from './yaml-file.ts';

/** Something wrong at a path of a file's data. */
export interface Complaint {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** Set where the key itself is wrong, not its value. */
  readonly key?: string;
  /** Which character of a text is wrong, from 0. */
  readonly offset?: number;
}

export type Checked<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly complaints: readonly Complaint[] };

/** Parses data by a schema; all that is wrong comes back in the words of our messages. */
export function check<T>(schema: z.ZodType<T>, data: unknown, at: readonly PropertyKey[] = []): Checked<T> {
  const result = schema.safeParse(data, { error: wording });
  if (result.success) return { ok: true, value: result.data };
  const complaints = result.error.issues.flatMap((issue): Complaint[] => {
    const path = [...at, ...issue.path];
    if (issue.code !== 'unrecognized_keys') {
      // A missing value has no place of its own, so its key must be named.
      const missing = issue.message.startsWith(MISSING) && path.length > 0;
      const message = missing ? `${String(path.at(-1))} is ${issue.message}` : issue.message;
      const offset: unknown = issue.code === 'custom' ? issue.params?.['offset'] : undefined;
      return [{ path, message, ...(typeof offset === 'number' ? { offset } : {}) }];
    }
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => ({
      path,
      key,
      message: `unknown key "${key}"${didYouMean(key, known) || ','} expected ${oneOf(known)}`,
    }));
  });
  return { ok: false, complaints };
}

export function toProblem(file: YamlFile, { path, key, message, offset }: Complaint): FileProblem {
  return key === undefined ? file.problemAt(path, message, offset) : file.problemAtKey(path, key, message);
}

/** `a, b or c` */
export function oneOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`;
}

/** How every message about an absent value begins, those of core/quantity-schema.ts too. */
const MISSING = 'missing,';

type RawIssue = Parameters<z.core.$ZodErrorMap>[0];

/** What is wrong, then what was expected. Schemas that word their own messages are not asked. */
function wording(issue: RawIssue): string | undefined {
  const given = issue.input === undefined ? 'missing' : `${show(issue.input)} given`;
  switch (issue.code) {
    case 'invalid_type':
      return `${given}, expected ${TYPE_NAMES[issue.expected] ?? issue.expected}`;
    case 'invalid_value': {
      const values = issue.values.map(String);
      const meant = typeof issue.input === 'string' ? didYouMean(issue.input, values) : '';
      return `${given}${meant || ','} expected ${oneOf(values)}`;
    }
    case 'too_small':
      return `${given}, expected at least ${amount(issue.minimum, issue.origin)}`;
    case 'too_big':
      return `${given}, expected at most ${amount(issue.maximum, issue.origin)}`;
    default:
      return undefined;
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
};

function amount(bound: number | bigint, origin: string): string {
  if (origin === 'array') return `${bound} ${bound === 1 ? 'entry' : 'entries'}`;
  return origin === 'string' ? `${bound} characters` : String(bound);
}

const LONGEST_SHOWN = 60;

function show(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN)}…`;
}

/** The keys that a schema knows at a path. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): readonly string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return keysAt(schema.unwrap(), path);
  }
  if (schema instanceof z.ZodPipe) return keysAt(schema.in, path);
  const [step, ...rest] = path;
  if (schema instanceof z.ZodArray) return keysAt(schema.element, rest);
  if (!(schema instanceof z.ZodObject)) return [];
  if (step === undefined) return Object.keys(schema.shape);
  const child = (schema.shape as Readonly<Record<string, z.core.$ZodType>>)[String(step)];
  return child === undefined ? [] : keysAt(child, rest);
}
