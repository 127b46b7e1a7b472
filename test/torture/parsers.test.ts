import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readJournal } from '../../src/actuator/journal.ts';
import { packageRoot } from '../../src/cli/package-root.ts';
import { controllers } from '../../src/compose/controllers.ts';
import { compileFormula, FORMULA_FUNCTIONS } from '../../src/controller/formula.ts';
import { TailgovError } from '../../src/core/errors.ts';
import { garbageCollector } from '../../src/daemon/collect-garbage.ts';
import { recordingHeaderLine, recordingLine } from '../../src/core/recording-format.ts';
import { RecordingReader } from '../../src/plant/recording.ts';
import { parseTraceCsv } from '../../src/plant/trace-csv.ts';
import { ConfigLoader } from '../../src/policy/config-loader.ts';
import { policyOf } from '../../src/policy/load-policy.ts';
import { parseYaml } from '../../src/policy/yaml-file.ts';
import { formatMock, parseMock } from '../../src/sysfs/mock-file.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';
import { mutate } from './mutate.ts';
import { figure, random, SEED, tries } from './tries.ts';

/** 2,000 inputs each left 300 to 1,700 KB, most of it compiled code. */
const MOST_GROWTH_KB = 16_384;
const LIMIT_MS = 100;
/** Of this limit: a larger file may take longer in proportion. Larger than any config that we know. */
const LONGEST_INPUT = 8_000;
/** A busy machine makes one parse slow now and then, not three times the same. */
const CHANCES = 3;

const POLICIES = join(packageRoot(), 'policies');
const policyTexts = readdirSync(POLICIES).map((name) => readFileSync(join(POLICIES, name), 'utf8'));
const pidPolicy = readFileSync(join(POLICIES, 'pid.yaml'), 'utf8');

const SCHEDULED = `controller: pid
interval: 100ms
parameters: { setpoint: 0.85 }
level: { min: 0.2, max: 1, rise: 50%/s }
fallback: { controller: threshold, parameters: {} }
schedule:
  - { cron: "0 22 * * *", timeZone: Europe/Berlin, set: { parameters: { setpoint: 0.95 }, level: { min: 0.1 } } }
  - { cron: "*/5 6-9 * * 1-5", set: {} }
`;
const CONFIG = `services:
  - &a
    name: web
    target: { port: 8080 }
    slo: { quantile: p99, latency: 5ms, window: 1min }
    policy: policy.yaml
    cores: { min: 2, reserved: [0] }
  - name: cache
    target: { cgroup: /system.slice/cache.service }
    slo: { quantile: p99.9, latency: 500us, window: 5min }
    policy: policy.yaml
actuators: { frequency: { method: auto, min: 1.2GHz, max: 3.1GHz, boost: on }, affinity: { method: auto } }
onExit: original
telemetry: { metrics: 127.0.0.1:9750 }
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-torture-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Parser {
  readonly name: string;
  readonly seeds: readonly string[];
  readonly parse: (text: string) => unknown;
}

const header = { target: 'web', unit: 'turn' as const, startedAt: '2026-01-01T00:00:00Z', frequencyKhz: null };
const journal = [
  { version: 1, bootId: 'x', pid: 1, startTicks: 1, sysfsRoot: '/sys' },
  {
    control: 'devices/system/cpu/cpufreq/policy0/scaling_max_freq',
    original: '3200000',
    order: 1,
    driver: 'acpi-cpufreq',
  },
  { control: 'fs/cgroup/web/cpuset.cpus', kind: 'cpuset', original: '', order: 0 },
  { control: 'thread/7', kind: 'thread', startTicks: 5, original: '0-1', order: 1 },
];

const PARSERS: readonly Parser[] = [
  {
    name: 'policy',
    seeds: [...policyTexts, SCHEDULED],
    parse: (text) => policyOf(parseYaml(join(POLICIES, 'x.yaml'), text), controllers),
  },
  {
    name: 'config',
    seeds: [CONFIG],
    parse(text) {
      const texts = { 'tailgov.yaml': text, 'policy.yaml': pidPolicy, [join(process.cwd(), 'policy.yaml')]: pidPolicy };
      return new ConfigLoader(controllers).parse({ configFile: 'tailgov.yaml', texts, policyFiles: {} });
    },
  },
  {
    name: 'recording',
    seeds: [recordingHeaderLine(header) + [1, 2, 3].map((at) => recordingLine(at * 1e6, 1_000, 2_000)).join('')],
    parse(text) {
      const reader = new RecordingReader('x.rec');
      reader.push(text.slice(0, text.length / 2));
      reader.push(text.slice(text.length / 2));
      return reader.finish();
    },
  },
  {
    name: 'mock',
    seeds: [
      formatMock(shippedMock('acpi-cpufreq-qemu-2c')).slice(0, 4_000),
      '# machine: A box\n# source: imagined\n# status: described\ncpu{0-7}/online\t1\ncpu{0,2-3}/topology/core_id\t{n+1}\n',
    ],
    parse: (text) => parseMock(text, 'x.tsv'),
  },
  {
    name: 'journal',
    seeds: [journal.map((line) => `${JSON.stringify(line)}\n`).join('')],
    parse(text) {
      const file = join(folder, 'journal');
      writeFileSync(file, text, { mode: 0o600 });
      return readJournal(file);
    },
  },
  { name: 'trace', seeds: ['time_s,load\n0,0.1\n60,0.5\n120,1\n'], parse: (text) => parseTraceCsv('x.csv', text) },
];

/** What is said of bad input: an error of ours. Anything else is a crash. */
function outcomeOf(parse: () => unknown): 'taken' | 'refused' {
  try {
    parse();
    return 'taken';
  } catch (error) {
    if (error instanceof TailgovError) return 'refused';
    throw error;
  }
}

/** CPU time of this thread's process: what others do on the machine does not count. */
function cpuMs(act: () => void): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** The least of some runs, as soon as one keeps the limit. */
function steadyCpuMs(act: () => void): number {
  let least = Infinity;
  for (let chance = 0; chance < CHANCES && least > LIMIT_MS; chance++) least = Math.min(least, cpuMs(act));
  return least;
}

const collect = garbageCollector();
const heapBytes = () => {
  collect('all');
  return process.memoryUsage().heapUsed;
};

describe('mutated input', () => {
  it.each(PARSERS)('of the $name parser is taken or refused, and soon', { timeout: 900_000 }, (parser) => {
    const { name, seeds, parse } = parser;
    const dice = random(SEED);
    const pool = [...seeds];
    const count = tries(200, 200_000);
    const tally = { taken: 0, refused: 0 };
    let slowestMs = 0;
    let bytes = 0;
    const began = Date.now();
    const pick = () => pool[Math.floor(dice() * pool.length)]!;
    // What the first parse keeps for ever (schemas, compiled code) is no growth.
    for (const seed of seeds) outcomeOf(() => parse(seed));
    const heapBefore = heapBytes();
    for (let at = 0; at < count; at++) {
      const text = mutate(pick(), pick(), dice).slice(0, LONGEST_INPUT);
      bytes += text.length;
      const outcomes: ('taken' | 'refused')[] = [];
      const tookMs = steadyCpuMs(() => {
        try {
          outcomes.push(outcomeOf(() => parse(text)));
        } catch (error) {
          throw new Error(`${name}, input ${at} of seed ${SEED}: ${JSON.stringify(text)}`, { cause: error });
        }
      });
      const outcome = outcomes[0]!;
      tally[outcome] += 1;
      slowestMs = Math.max(slowestMs, tookMs);
      if (tookMs >= LIMIT_MS)
        throw new Error(`${tookMs} ms for ${name}, input ${at} of seed ${SEED}: ${JSON.stringify(text)}`);
      // What was taken, though it was changed, leads further.
      // A copy: a piece of a string keeps the whole of it.
      if (outcome === 'taken' && pool.length < 64) pool.push(JSON.parse(JSON.stringify(text)) as string);
    }
    const grown = heapBytes() - heapBefore;
    expect(tally.refused).toBeGreaterThan(0);
    const seconds = Math.round((Date.now() - began) / 1000);
    const grownKb = Math.round(grown / 1024);
    expect(grownKb).toBeLessThan(MOST_GROWTH_KB);
    figure('mutated input', {
      parser: name,
      count,
      bytes,
      seconds,
      slowestMs: Math.round(slowestMs),
      grownKb,
      ...tally,
    });
  });

  it('of the formula compiler computes a number or is refused', { timeout: 300_000 }, () => {
    const symbols = ['quantile', 'target', 'level'];
    const words = [
      ...symbols,
      ...FORMULA_FUNCTIONS,
      ...'+ - * / ^ ( ) , ? : ?? < == and not 1 1e308 0.5 . [ ] { } " \' ; = =>'.split(' '),
    ];
    const dice = random(SEED);
    const count = tries(2_000, 500_000);
    let taken = 0;
    for (let at = 0; at < count; at++) {
      const length = 1 + Math.floor(dice() * 30);
      const seed = Array.from({ length }, () => words[Math.floor(dice() * words.length)]).join(dice() < 0.5 ? ' ' : '');
      const text = dice() < 0.5 ? seed : mutate('clamp(quantile / target, 0.2, 1)', seed, dice).slice(0, 2_000);
      const tookMs = steadyCpuMs(() => {
        try {
          const formula = compileFormula(text, symbols);
          const level: unknown = formula.evaluate({ quantile: 2, target: 3, level: 0.5 });
          if (typeof level !== 'number') throw new Error(`computes ${String(level)}`);
          taken += 1;
        } catch (error) {
          if (!(error instanceof Error) || error.constructor.name !== 'FormulaError') {
            throw new Error(`formula ${JSON.stringify(text)}`, { cause: error });
          }
        }
      });
      if (tookMs >= LIMIT_MS) throw new Error(`${tookMs} ms for ${JSON.stringify(text)}`);
    }
    expect(taken).toBeGreaterThan(0);
    figure('mutated input', { parser: 'formula', count, taken, refused: count - taken });
  });
});
