import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PolicyError } from '../../src/core/errors.ts';
import {
  recordingEndLine,
  recordingHeaderLine,
  recordingLine,
  recordingMarkLine,
} from '../../src/core/recording-format.ts';
import { kiloHertz } from '../../src/core/units.ts';
import { type Recording, RecordingReader, readRecording } from '../../src/plant/recording.ts';
import { serverSchema } from '../../src/plant/server-schema.ts';
import { parseTraceCsv } from '../../src/plant/trace-csv.ts';

const header = {
  target: 'cache',
  unit: 'turn' as const,
  startedAt: '2026-01-01T00:00:00.000Z',
  frequencyKhz: kiloHertz(2_000_000),
};

/** The messages of the problems that a reader throws. */
function problemsOf(read: () => unknown): string[] {
  try {
    read();
  } catch (error) {
    if (error instanceof PolicyError) return error.problems.map(({ line, message }) => `${line}: ${message}`);
    throw error;
  }
  return [];
}

function parse(text: string, chunk = text.length): Recording {
  const reader = new RecordingReader('r.jsonl');
  for (let at = 0; at < text.length; at += Math.max(1, chunk)) reader.push(text.slice(at, at + Math.max(1, chunk)));
  return reader.finish();
}

describe('a recording', () => {
  const rows = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { maxLength: 50 });

  it('is read back in order of arrival, however its lines are ordered and its text is cut', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 200 }), (list, chunk) => {
        const text = recordingHeaderLine(header) + list.map((row) => recordingLine(...row)).join('');
        const recording = parse(text, chunk);
        expect(recording.header).toEqual({ format: 'tailgov-recording', version: 1, ...header });
        const sorted = list.toSorted((a, b) => a[0] - b[0]);
        expect([...recording.arrivalsNs]).toEqual(sorted.map(([arrivalNs]) => arrivalNs));
        expect([...recording.socketWaitsNs]).toEqual(sorted.map(([, waitNs]) => waitNs));
        expect([...recording.handlingTimesNs]).toEqual(sorted.map(([, , handlingNs]) => handlingNs));
      }),
    );
  });

  it('grows beyond its first columns, and leaves out a last line that was cut off', () => {
    const lines = Array.from({ length: 5000 }, (_, i) => recordingLine(i, 0, 1)).join('');
    expect(parse(`${recordingHeaderLine(header)}${lines}[5000,0`).arrivalsNs.length).toBe(5000);
  });

  it('reports every bad line with its number', () => {
    const text = `${recordingHeaderLine(header)}[1,2,3]\n[1,2]\nnonsense\n[1,-2,3]\n[1,,3]\n`;
    expect(problemsOf(() => parse(text))).toEqual([
      '3: "[1,2]" given, expected [arrival, socket wait, handling time] in ns',
      '4: "nonsense" given, expected [arrival, socket wait, handling time] in ns',
      '5: "[1,-2,3]" given, expected [arrival, socket wait, handling time] in ns',
      '6: "[1,,3]" given, expected [arrival, socket wait, handling time] in ns',
    ]);
    expect(problemsOf(() => parse('[1,2,3]\n'))[0]).toContain('1: no recording of version 1');
    expect(problemsOf(() => parse(recordingHeaderLine({ ...header, slo: { quantile: 99, latencyNs: 1 } })))).toEqual([
      '1: slo {"quantile":99,"latencyNs":1} given, expected such as {"quantile":0.99,"latencyNs":5000000}',
    ]);
    expect(problemsOf(() => parse(''))).toEqual(['1: empty, expected a recording']);
    expect(problemsOf(() => readRecording('/nonexistent/recording'))[0]).toContain('cannot be read');
    // A directory opens, and then cannot be read.
    expect(problemsOf(() => readRecording(tmpdir()))[0]).toContain('cannot be read');
  });

  it('tells what was known at the end, and whether it was ended or cut off', () => {
    const mark = { atNs: 5, cpuTimeNs: 40, cpuRequests: 2, busiestThreadRatio: 0.5, frequencyKhz: null, lost: 0 };
    const text = recordingHeaderLine(header) + recordingLine(1, 2, 3) + recordingMarkLine(mark);
    expect(parse(text)).toMatchObject({ mark, end: null });
    const end = { ...mark, atNs: 9, reason: 'limit' as const };
    expect(parse(text + recordingEndLine(end))).toMatchObject({ mark: end, end });
    // Speeds are brought from one frequency to the other by division.
    expect(problemsOf(() => parse(text + recordingMarkLine({ ...mark, frequencyKhz: kiloHertz(0) })))).toHaveLength(1);
    expect(problemsOf(() => parse(`${text}{"mark":{"atNs":-1}}\n`))).toEqual([
      '4: "{\\"mark\\":{\\"atNs\\":-1}}" given, expected {"mark":…} or {"end":…}',
    ]);
  });

  it('is read from a file', () => {
    const directory = mkdtempSync(join(tmpdir(), 'tailgov-recording-'));
    const file = join(directory, 'r.jsonl');
    writeFileSync(file, recordingHeaderLine(header) + recordingLine(3000, 9, 500) + recordingLine(1000, 9, 700));
    expect([...readRecording(file).handlingTimesNs]).toEqual([700, 500]);
    rmSync(directory, { recursive: true });
  });
});

describe('parseTraceCsv()', () => {
  it('reads seconds and multipliers, with or without a line that names them', () => {
    const steps = [
      { untilNs: 60e9, multiplier: 0.5 },
      { untilNs: Infinity, multiplier: 1.25 },
    ];
    expect(parseTraceCsv('t.csv', 'time_s,multiplier\n0,0.5\n\n# noon\n60,1.25\n')).toEqual({
      kind: 'steps',
      name: 't.csv',
      steps,
      repeat: false,
    });
    expect(parseTraceCsv('t.csv', '0,0.5\n60,1.25')).toMatchObject({ steps });
  });

  it('reports every bad line with its number', () => {
    expect(problemsOf(() => parseTraceCsv('t.csv', 'a,b\n1,1\n0,1\n0,2\n5,-1\nx,y\n5\n'))).toEqual([
      '2: 1 s given, expected the first time to be 0',
      '4: 0 s given, expected times to ascend',
      '5: multiplier -1 given, expected at least 0',
      '6: "x,y" given, expected seconds and a multiplier such as 60,0.8',
      '7: "5" given, expected seconds and a multiplier such as 60,0.8',
    ]);
    expect(problemsOf(() => parseTraceCsv('t.csv', '0,0\n'))[0]).toContain('no load at all');
    expect(problemsOf(() => parseTraceCsv('t.csv', ''))[0]).toContain('no load at all');
  });
});

describe('serverSchema', () => {
  const file = {
    name: 'Box',
    source: 'measured',
    cores: 2,
    domains: 'package',
    frequencies: ['1GHz', '2GHz'],
    voltages: [{ frequency: '1GHz', volts: 0.8 }],
    staticWatts: 20,
    idleCoreWatts: 1,
    capacitanceNf: 2,
    idleStates: [
      { name: 'C1', after: '0ns', wake: '2us', watts: 1 },
      { name: 'C6', after: '600us', wake: '133us', watts: 0.1 },
    ],
  };

  it('turns a file into a server', () => {
    const server = serverSchema.parse(file);
    expect(server.machine.domains).toHaveLength(1);
    expect(server.machine.domains[0]).toMatchObject({ cpus: [0, 1], minKhz: 1_000_000, allowedMaxKhz: 2_000_000 });
    expect(server.power).toMatchObject({ name: 'Box', coreCount: 2, staticWatts: 20, awakeWattsPerVolt: 0 });
    expect(server.idleStates[1]).toEqual({ name: 'C6', afterNs: 600_000, wakeNs: 133_000, watts: 0.1 });
    expect(server.transitionLatencyNs).toBe(20_000);
  });

  it.each<[string, object]>([
    ['frequencies,1', { frequencies: ['2GHz', '1GHz'] }],
    ['voltages,1,frequency', { voltages: [file.voltages[0], file.voltages[0]] }],
    ['idleStates,0,after', { idleStates: [file.idleStates[1]] }],
    ['staticWatts', { staticWatts: -1 }],
    ['cores', { cores: 0 }],
    ['', { surprise: 1 }],
  ])('points at what is wrong: %s', (path, change) => {
    const result = serverSchema.safeParse({ ...file, ...change });
    expect(result.error?.issues.map((issue) => issue.path.join())).toEqual([path]);
  });
});
