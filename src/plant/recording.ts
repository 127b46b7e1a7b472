import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { type FileProblem, PolicyError, messageOf } from '../core/errors.ts';
import type { RecordingEnd, RecordingHeader, RecordingMark } from '../core/recording-format.ts';
import type { RequestUnit } from '../core/sensor.ts';
import { kiloHertz } from '../core/units.ts';

/** What a real service was asked, and how long it took: columns by request, in order of arrival. */
export interface Recording {
  readonly header: RecordingHeader;
  /** Since the start of the recording. */
  readonly arrivalsNs: Float64Array;
  /** Arrival → the read that takes it. */
  readonly socketWaitsNs: Float64Array;
  /** That read → last byte sent. */
  readonly handlingTimesNs: Float64Array;
  /** What was known of the target at the end, or as near to it as was told; null where nothing was. */
  readonly mark: RecordingMark | null;
  /** How it was ended; null where it was cut off: then the requests are those of its whole lines. */
  readonly end: RecordingEnd | null;
}

const REQUEST_UNITS: readonly RequestUnit[] = ['turn', 'stream', 'connection'];
const CHUNK_BYTES = 1 << 20;
const MOST_COMPLAINTS = 20;

/** @throws PolicyError for a file that cannot be read or is no recording; a last line that was cut off is left out */
export function readRecording(file: string): Recording {
  const reader = new RecordingReader(file);
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    // A recording can be longer than the longest string.
    const decoder = new StringDecoder('utf8');
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let bytes = readSync(descriptor, chunk); bytes > 0; bytes = readSync(descriptor, chunk)) {
      reader.push(decoder.write(chunk.subarray(0, bytes)));
    }
  } catch (error) {
    const problem = { file, line: 1, column: 1, message: `cannot be read: ${messageOf(error)}` };
    throw new PolicyError('unreadable', [problem], { cause: error });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
  return reader.finish();
}

/** Takes a recording's text piece by piece. */
export class RecordingReader {
  readonly #file: string;
  readonly #problems: FileProblem[] = [];
  #rest = '';
  #line = 0;
  #header: RecordingHeader | undefined;
  /** Rows of three. */
  #rows = new Float64Array(3 * 1024);
  #count = 0;
  #mark: RecordingMark | null = null;
  #end: RecordingEnd | null = null;

  constructor(file: string) {
    this.#file = file;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#take(line);
  }

  /** @throws PolicyError with the first bad lines */
  finish(): Recording {
    if (this.#header === undefined && this.#problems.length === 0) this.#complain('empty, expected a recording');
    if (this.#problems.length > 0) throw new PolicyError('bad-file', this.#problems);
    const rows = this.#rows;
    const order = Uint32Array.from({ length: this.#count }, (_, i) => i);
    order.sort((a, b) => rows[3 * a]! - rows[3 * b]! || a - b);
    const column = (at: number) => Float64Array.from(order, (row) => rows[3 * row + at]!);
    const mark = this.#end ?? this.#mark;
    const units = mark?.units ?? {};
    const { unit: told } = this.#header!;
    // Of a protocol that was found out on the way the header could not tell: what most of them are.
    const unit = REQUEST_UNITS.reduce((most, each) => ((units[each] ?? 0) > (units[most] ?? 0) ? each : most), told);
    return {
      header: { ...this.#header!, unit },
      arrivalsNs: column(0),
      socketWaitsNs: column(1),
      handlingTimesNs: column(2),
      mark,
      end: this.#end,
    };
  }

  #take(line: string): void {
    this.#line++;
    if (this.#header === undefined) {
      if (this.#problems.length === 0) this.#takeHeader(line);
      return;
    }
    if (line.startsWith('{')) return this.#takeMark(line);
    const row = parsedRow(line);
    if (row === undefined) {
      this.#complain(
        `${JSON.stringify(line.slice(0, 60))} given, expected [arrival, socket wait, handling time] in ns`,
      );
      return;
    }
    if (3 * this.#count === this.#rows.length) {
      const grown = new Float64Array(2 * this.#rows.length);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    this.#rows.set(row, 3 * this.#count++);
  }

  #takeMark(line: string): void {
    const told = parsedObject(line);
    const [mark, end] = [told?.['mark'], told?.['end']];
    if (isMark(mark)) this.#mark = mark;
    else if (isMark(end)) this.#end = end as RecordingEnd;
    else this.#complain(`${JSON.stringify(line.slice(0, 60))} given, expected {"mark":…} or {"end":…}`);
  }

  #takeHeader(line: string): void {
    const header = parsedObject(line);
    if (header?.['format'] !== 'tailgov-recording' || header['version'] !== 1) {
      this.#complain('no recording of version 1, expected a first line with "format":"tailgov-recording","version":1');
      return;
    }
    const { slo } = header;
    if (slo !== undefined && !isObjective(slo)) {
      this.#complain(`slo ${JSON.stringify(slo)} given, expected such as {"quantile":0.99,"latencyNs":5000000}`);
      return;
    }
    const text = (key: string) => (typeof header[key] === 'string' ? header[key] : '');
    const khz = header['frequencyKhz'];
    this.#header = {
      ...(header as Partial<RecordingHeader>),
      format: 'tailgov-recording',
      version: 1,
      target: text('target'),
      unit: REQUEST_UNITS.find((unit) => unit === header['unit']) ?? 'turn',
      startedAt: text('startedAt'),
      frequencyKhz: typeof khz === 'number' && khz > 0 ? kiloHertz(khz) : null,
    };
  }

  #complain(message: string): void {
    if (this.#problems.length >= MOST_COMPLAINTS) return;
    this.#problems.push({ file: this.#file, line: Math.max(1, this.#line), column: 1, message });
  }
}

function isMark(value: unknown): value is RecordingMark {
  if (typeof value !== 'object' || value === null) return false;
  const { atNs, cpuTimeNs, cpuRequests, lost, units = {}, ...known } = value as Record<string, unknown>;
  const { busiestThreadRatio = null, frequencyKhz = null } = known;
  const counts = [atNs, cpuTimeNs, cpuRequests, lost, ...(Object.values(units ?? { none: null }) as unknown[])];
  return (
    counts.every((count) => typeof count === 'number' && count >= 0) &&
    (busiestThreadRatio === null || (typeof busiestThreadRatio === 'number' && busiestThreadRatio >= 0)) &&
    (frequencyKhz === null || (typeof frequencyKhz === 'number' && frequencyKhz > 0))
  );
}

function isObjective(value: unknown): value is NonNullable<RecordingHeader['slo']> {
  if (typeof value !== 'object' || value === null) return false;
  const { quantile, latencyNs } = value as Record<string, unknown>;
  return typeof quantile === 'number' && quantile > 0 && quantile < 1 && typeof latencyNs === 'number' && latencyNs > 0;
}

function parsedRow(line: string): number[] | undefined {
  if (!line.startsWith('[') || !line.endsWith(']')) return undefined;
  const row = line.slice(1, -1).split(',').map(nanoseconds);
  return row.length === 3 && row.every((ns) => ns >= 0 && ns <= Number.MAX_SAFE_INTEGER) ? row : undefined;
}

/** Number() takes nothing for 0. */
const nanoseconds = (text: string) => (text === '' ? NaN : Number(text));

function parsedObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // No JSON is as wrong as other JSON: the caller says so.
    return undefined;
  }
}
