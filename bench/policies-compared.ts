/**
 * Writes the tables of docs/policies-compared.md: `npx tsx bench/policies-compared.ts [--reduced]`, after `npm run build`.
 *
 * Every ready policy and every baseline under every workload and trace, by `tailgov simulate` of dist/. What is done for a
 * workload is kept in dist/policies-compared/ and taken from there as long as the program and its policies stay the same, so a run that was
 * stopped goes on where it was. --reduced: two seeds and half the time, without the reference.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadTraces } from '../src/plant/load-trace.ts';
import { workloads } from '../src/plant/workloads.ts';
import { rowKeepsSlo, type SweepRow } from '../src/study/sweep/sweep.ts';

const ROOT = join(import.meta.dirname, '..');
const PROGRAM = join(ROOT, 'dist', 'cli.js');
const KEPT = join(ROOT, 'dist', 'policies-compared');
const PAGE = join(ROOT, 'docs', 'policies-compared.md');
const BEGIN = '<!-- tables: begin -->';
const END = '<!-- tables: end -->';

const reduced = process.argv.includes('--reduced');
const seeds = reduced ? 2 : 3;
const secondsOf = (workload: string) => (reduced ? 1 : 2) * (BUSY.includes(workload) ? 30 : 60);

/** Services with hundreds of thousands of requests a second get few cores, and no search for a reference. */
const BUSY = ['memcached', 'bimodal-kv'];
const coresOf = (workload: string) => (BUSY.includes(workload) ? 2 : 4);
const hasReference = (workload: string) => !reduced && !BUSY.includes(workload);

function argumentsFor(workload: string): readonly string[] {
  return [
    ...readyPolicies().flatMap((name) => ['--policy', name]),
    ...['--baseline', 'all', '--workload', workload, '--duration', `${secondsOf(workload)}s`, '--seeds', String(seeds)],
    ...Object.keys(loadTraces).flatMap((trace) => ['--trace', trace]),
    ...['--cores', String(coresOf(workload)), '--json'],
    ...(hasReference(workload) ? ['--reference'] : []),
  ];
}

function readyPolicies(): readonly string[] {
  const files = readdirSync(join(ROOT, 'policies')).filter((name) => name.endsWith('.yaml'));
  return files.map((name) => name.replace('.yaml', '')).sort();
}

function rowsOf(workload: string): readonly SweepRow[] {
  const args = argumentsFor(workload);
  const hash = createHash('sha256').update(readFileSync(PROGRAM)).update(JSON.stringify(args));
  for (const name of readyPolicies()) hash.update(readFileSync(join(ROOT, 'policies', `${name}.yaml`)));
  const kept = join(KEPT, `${workload}-${hash.digest('hex').slice(0, 16)}.jsonl`);
  if (!existsSync(kept)) {
    const began = performance.now();
    const { status, stdout } = spawnSync(process.execPath, [PROGRAM, 'simulate', ...args], {
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) throw new Error(`tailgov simulate of ${workload} ended with ${status}`);
    mkdirSync(KEPT, { recursive: true });
    writeFileSync(kept, stdout);
    console.error(`${workload}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
  }
  return readFileSync(kept, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as SweepRow);
}

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
    const row = rows.find((one) => one.policy === policy && one.trace === trace)!;
    const saved = `${percent(row.savingVsPerformance.mean)}${within(row.savingVsPerformance.plusMinus, 1)}`;
    const missed = row.missedWindows === 0 ? '' : ` (${row.missedWindows}/${row.windows})`;
    return `${rowKeepsSlo(row) ? `**${saved}**` : saved}${missed}`;
  };
  const limit = (name: string, joules: (row: SweepRow) => number | null) => [
    name,
    ...traces.map((trace) => {
      const row = rows.find((one) => one.trace === trace)!;
      const energyJ = joules(row);
      return energyJ === null ? '-' : percent(1 - energyJ / row.energyJ.mean);
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

function writePage(done: ReadonlyMap<string, readonly SweepRow[]>): void {
  const text = [
    BEGIN,
    '',
    `${seeds} seeds${reduced ? ' (a reduced run, without the reference)' : ''}. Energy is modelled.`,
    '',
    '### Over all cells',
    '',
    summaryTable([...done.values()].flat()),
    ...Object.keys(workloads).flatMap((name) => {
      const rows = done.get(name);
      if (rows === undefined) return [];
      const { summary } = workloads[name]!;
      return [
        ...['', `### ${name}`, ''],
        `${coresOf(name)} cores; ${secondsOf(name)} s a run; ${summary}; p99 ≤ ${rows[0]!.sloMs} ms.`,
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

// The quick ones first; the page shows what is done so far.
const done = new Map<string, readonly SweepRow[]>();
for (const name of Object.keys(workloads).sort((a, b) => Number(BUSY.includes(a)) - Number(BUSY.includes(b)))) {
  done.set(name, rowsOf(name));
  writePage(done);
}
