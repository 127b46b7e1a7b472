/**
 * Writes the tables of docs/policies-compared.md: `npx tsx bench/policies-compared.ts [--minutes 15] [--reduced]`.
 * dist/ is built where that is needed.
 *
 * Every ready policy and every baseline under every workload and trace, by `tailgov simulate` of dist/. It is done a piece at
 * a time, and ends when the minutes are over: the page then has what is done, and says what is not. Pieces are kept in
 * dist/policies-compared/ as long as the program and its policies stay the same, so the next run goes on from there. --reduced: a
 * third of the time, two seeds.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { meanNsOf } from '../src/plant/distribution.ts';
import { loadTraces } from '../src/plant/load-trace.ts';
import { workloads } from '../src/plant/workloads.ts';
import { baselines } from '../src/study/baselines/registry.ts';
import { FULL_LOAD_RATIO } from '../src/study/simulated-run.ts';
import { rowKeepsSlo, type SweepRow } from '../src/study/sweep/sweep.ts';
import { buildBundle } from './build-bundle.ts';

const ROOT = join(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');
const PROGRAM = join(DIST, 'cli.js');
const KEPT = join(DIST, 'policies-compared');
const PAGE = join(ROOT, 'docs', 'policies-compared.md');
const BEGIN = '<!-- tables: begin -->';
const END = '<!-- tables: end -->';

const reduced = process.argv.includes('--reduced');
const minutes = Number(process.argv[process.argv.indexOf('--minutes') + 1] || 15) || 15;
const threads = availableParallelism();
const seeds = reduced ? 2 : 3;

/** Services with a hundred thousand requests a second: shorter runs, and the reference for the first seed alone. */
const BUSY = ['memcached', 'bimodal-kv'];
const isBusy = (workload: string) => BUSY.includes(workload);
const coresOf = (workload: string) => (workload === 'memcached' ? 2 : 4);
const secondsOf = (workload: string) => (isBusy(workload) ? 15 : 120) / (reduced ? 3 : 1);

/** A command, and what it is likely to cost. */
interface Piece {
  readonly workload: string;
  readonly name: string;
  readonly args: readonly string[];
  readonly threadSeconds: number;
}

function readyPolicies(): readonly string[] {
  const files = readdirSync(join(ROOT, 'policies')).filter((name) => name.endsWith('.yaml'));
  return files.map((name) => name.replace('.yaml', '')).sort();
}

/** Of a run and of a reference, a request: only to say how long it will take, and put right by what it takes. */
const RUN_COST_US = 0.45;
const REFERENCE_COST_US = 14;
/** Of a run, a simulated second, whatever it is asked: rules that look often. */
const TIME_COST_MS = 6;

function piecesOf(workload: string): readonly Piece[] {
  const [seconds, cores] = [secondsOf(workload), coresOf(workload)];
  const requests = ((FULL_LOAD_RATIO * cores) / (meanNsOf(workloads[workload]!.demand) / 1e9)) * seconds;
  const runS = (requests * RUN_COST_US) / 1e6 + (seconds * TIME_COST_MS) / 1e3;
  const referenceS = (requests * REFERENCE_COST_US) / 1e6;
  const common = ['--workload', workload, '--duration', `${seconds}s`, '--cores', `${cores}`, '--json'];
  const policies = [...readyPolicies().flatMap((name) => ['--policy', name]), '--baseline', 'all'];
  const runs = (readyPolicies().length + Object.keys(baselines).length + 1) * seeds;
  const traces = Object.keys(loadTraces);
  return [
    ...traces.map((trace) => ({
      workload,
      name: `${workload} under ${trace}`,
      args: [
        ...common,
        ...policies,
        '--trace',
        trace,
        '--seeds',
        `${seeds}`,
        ...(isBusy(workload) ? [] : ['--reference']),
      ],
      threadSeconds: runs * runS + (isBusy(workload) ? 0 : seeds * referenceS),
    })),
    ...(isBusy(workload)
      ? [
          {
            workload,
            name: `${workload}: reference`,
            args: [
              ...common,
              '--policy',
              'performance',
              '--reference',
              ...traces.flatMap((trace) => ['--trace', trace]),
            ],
            threadSeconds: traces.length * (referenceS + 2 * runS),
          },
        ]
      : []),
  ];
}

/** What the program and its policies are. */
function programHash(): string {
  const hash = createHash('sha256');
  for (const file of readdirSync(DIST)
    .filter((name) => name.endsWith('.js'))
    .sort()) {
    hash.update(readFileSync(join(DIST, file)));
  }
  for (const name of readyPolicies()) hash.update(readFileSync(join(ROOT, 'policies', `${name}.yaml`)));
  return hash.digest('hex');
}

const fileOf = ({ workload, args }: Piece, program: string) =>
  join(
    KEPT,
    `${workload}-${createHash('sha256').update(program).update(JSON.stringify(args)).digest('hex').slice(0, 16)}.jsonl`,
  );

const EXIT_INTERRUPTED = 130;

/** @returns the rows that were done by the deadline, and whether that is all of them */
async function run(
  { args, name }: Piece,
  deadlineMs: number,
): Promise<{ readonly text: string; readonly whole: boolean }> {
  const child = spawn(process.execPath, [PROGRAM, 'simulate', ...args, '--threads', `${threads}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [text, said] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const timer = setTimeout(() => child.kill('SIGINT'), Math.max(0, deadlineMs - Date.now()));
  const stop = () => child.kill('SIGINT');
  process.on('SIGINT', stop);
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  process.off('SIGINT', stop);
  if (status !== 0 && status !== EXIT_INTERRUPTED) throw new Error(`${name} ended with ${String(status)}: ${said}`);
  return { text, whole: status === 0 };
}

const rowsIn = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as SweepRow);

const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)}`;
const within = (plusMinus: number | null, digits: number) =>
  plusMinus === null ? '' : ` ± ${percent(plusMinus, digits)}`;

function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(heading), line(heading.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

/** A workload's policies by its traces. A cell: the energy saved, in bold where the SLO was kept over all requests. */
function savingTable(rows: readonly SweepRow[]): string {
  const traces = [...new Set(rows.map(({ trace }) => trace))];
  const policies = [...new Set(rows.map(({ policy }) => policy))];
  const cell = (policy: string, trace: string) => {
    const row = rows.find((one) => one.policy === policy && one.trace === trace);
    if (row === undefined) return '';
    const saved = `${percent(row.savingVsPerformance.mean)}${within(row.savingVsPerformance.plusMinus, 1)}`;
    const missed = row.missedWindows === 0 ? '' : ` (${row.missedWindows}/${row.windows})`;
    return `${rowKeepsSlo(row) ? `**${saved}**` : saved}${missed}`;
  };
  const limit = (name: string, joules: (row: SweepRow) => number | null) => [
    name,
    ...traces.map((trace) => {
      const row = rows.find((one) => one.trace === trace && joules(one) !== null);
      const energyJ = row === undefined ? null : joules(row);
      return row === undefined || energyJ === null ? '-' : percent(1 - energyJ / row.energyJ.mean);
    }),
  ];
  return table(
    ['saved, %', ...traces],
    [
      ...policies.slice(1).map((policy) => [policy, ...traces.map((trace) => cell(policy, trace))]),
      limit('_clairvoyant reference_', ({ referenceJ }) => referenceJ),
      limit('_bound: no policy saves more_', ({ lowerBoundJ }) => lowerBoundJ),
    ],
  );
}

/** Over all workloads and traces: how often the SLO was kept, and what was saved there. */
function summaryTable(rows: readonly SweepRow[]): string {
  const policies = [...new Set(rows.map(({ policy }) => policy))];
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return table(
    [
      '',
      'SLO kept in cells',
      'windows missed, %',
      'saved in all cells, %',
      'saved where kept, %',
      'of attainable where kept, %',
    ],
    policies.map((policy) => {
      const own = rows.filter((row) => row.policy === policy);
      const kept = own.filter(rowKeepsSlo);
      const shares = kept.flatMap(({ shareOfAttainableSaving: share }) => (share === null ? [] : [share.mean]));
      const missed =
        own.reduce((sum, row) => sum + row.missedWindows, 0) / own.reduce((sum, row) => sum + row.windows, 0);
      return [
        policy,
        `${kept.length} of ${own.length}`,
        percent(missed),
        percent(mean(own.map((row) => row.savingVsPerformance.mean))),
        kept.length === 0 ? '-' : percent(mean(kept.map((row) => row.savingVsPerformance.mean))),
        shares.length === 0 ? '-' : percent(mean(shares), 0),
      ];
    }),
  );
}

/** Of a busy workload the reference is known for the first seed: its share of what can be saved counts for all. */
function withReference(rows: readonly SweepRow[], references: readonly SweepRow[]): readonly SweepRow[] {
  return rows.map((row) => {
    const found = references.find(({ trace, referenceJ }) => trace === row.trace && referenceJ !== null);
    if (found === undefined || found.referenceJ === null) return row;
    const attainable = 1 - found.referenceJ / found.energyJ.mean;
    const full = rows.find(({ trace, policy }) => trace === row.trace && policy === 'performance')!;
    const share = { mean: row.savingVsPerformance.mean / attainable, plusMinus: null };
    return {
      ...row,
      referenceJ: full.energyJ.mean * (1 - attainable),
      shareOfAttainableSaving: attainable > 0 ? share : null,
    };
  });
}

function writePage(done: ReadonlyMap<string, readonly SweepRow[]>, missing: readonly string[]): void {
  const text = [
    BEGIN,
    '',
    `${seeds} seeds${reduced ? ' (a reduced run)' : ''}. Energy is modelled.${missing.length === 0 ? '' : ` Not done in the time that it was given: ${missing.join('; ')}.`}`,
    '',
    '### Over all cells',
    '',
    summaryTable([...done.values()].flat()),
    ...Object.keys(workloads).flatMap((name) => {
      const rows = done.get(name);
      if (rows === undefined || rows.length === 0) return [];
      const { summary } = workloads[name]!;
      const first = isBusy(name) ? ' The reference is that of the first seed.' : '';
      return [
        ...['', `### ${name}`, ''],
        `${coresOf(name)} cores; ${secondsOf(name)} s a run; ${summary}; p99 ≤ ${rows[0]!.sloMs} ms.${first}`,
        ...['', savingTable(rows)],
      ];
    }),
    '',
    END,
  ].join('\n');
  const page = readFileSync(PAGE, 'utf8');
  const [before, after] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (before < 0 || after < 0) throw new Error(`${PAGE} has no lines ${BEGIN} and ${END}`);
  writeFileSync(PAGE, page.slice(0, before) + text + page.slice(after + END.length));
  spawnSync('npx', ['prettier', '--write', '--log-level', 'warn', PAGE], { cwd: ROOT, stdio: 'inherit' });
}

// The quick ones first, the costly references last.
const rank = ({ workload, name }: Piece) => Number(isBusy(workload)) + Number(name.endsWith('reference'));
const pieces = Object.keys(workloads)
  .flatMap(piecesOf)
  .sort((a, b) => rank(a) - rank(b));
buildBundle();
const program = programHash();
const began = Date.now();
const deadlineMs = began + minutes * 60_000;
const texts = new Map<Piece, string>();
const wallS = (list: readonly Piece[]) => list.reduce((sum, { threadSeconds }) => sum + threadSeconds, 0) / threads;
const open = pieces.filter((piece) => !existsSync(fileOf(piece, program)));
console.error(`${pieces.length} pieces, ${open.length} of them to do: about ${(wallS(open) / 60).toFixed(0)} min`);
mkdirSync(KEPT, { recursive: true });
for (const piece of pieces) {
  const kept = fileOf(piece, program);
  if (existsSync(kept)) texts.set(piece, readFileSync(kept, 'utf8'));
}
const missing: string[] = [];
for (const [index, piece] of open.entries()) {
  if (Date.now() >= deadlineMs) {
    missing.push(piece.name);
    continue;
  }
  const { text, whole } = await run(piece, deadlineMs);
  texts.set(piece, text);
  if (whole) writeFileSync(fileOf(piece, program), text);
  else missing.push(`${piece.name} (in part)`);
  const elapsedS = (Date.now() - began) / 1000;
  const leftS = (elapsedS / wallS(open.slice(0, index + 1))) * wallS(open.slice(index + 1));
  console.error(`${piece.name}: ${elapsedS.toFixed(0)} s so far, about ${leftS.toFixed(0)} s left`);
}
const done = new Map(
  Object.keys(workloads).map((name) => {
    const own = [...texts].filter(([{ workload }]) => workload === name);
    const rows = (reference: boolean) =>
      own.filter(([piece]) => piece.name.endsWith('reference') === reference).flatMap(([, text]) => rowsIn(text));
    return [name, withReference(rows(false), rows(true))] as const;
  }),
);
writePage(done, missing);
console.error(
  missing.length === 0 ? `${PAGE} is complete` : `${PAGE} lacks ${missing.length} pieces: run it again and it goes on`,
);
