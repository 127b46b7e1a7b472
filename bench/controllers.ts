/**
 * What the ready policies make of every workload and trace on the simulated server, cell by cell:
 * `npx tsx bench/controllers.ts [--workload NAME,...] [--trace NAME,...] [--policy NAME,...] [--seconds N] [--seed N,...]
 * [--cores N] [--cache DIR] [--against-utilization] [--json]`.
 *
 * `of attainable` is the saving against full speed ÷ that of the clairvoyant reference, whose search takes from seconds to
 * minutes a cell: `--cache` keeps what it found. A minute of memcached or bimodal-kv is tens of millions of requests a run. `missed` counts the SLO's compliance windows that were not kept.
 * `--against-utilization` adds how much less energy the policy takes than `utilization` with the headroom that gives the same
 * share of late requests.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { controllers } from '../src/compose/controllers.ts';
import { type Slo, toleratedRatio } from '../src/core/slo.ts';
import { NS_PER_MS, NS_PER_S } from '../src/core/units.ts';
import { loadTraces } from '../src/plant/load-trace.ts';
import { xeonSilver4114 } from '../src/plant/servers.ts';
import { workloads } from '../src/plant/workloads.ts';
import { loadPolicy, type Policy } from '../src/policy/load-policy.ts';
import { searchClairvoyant } from '../src/study/reference/clairvoyant.ts';
import { type RunOptions, SimulatedRun } from '../src/study/simulated-run.ts';

const { values: args } = parseArgs({
  options: {
    workload: { type: 'string', default: Object.keys(workloads).join() },
    trace: { type: 'string', default: Object.keys(loadTraces).join() },
    policy: { type: 'string', default: 'model,pid,threshold' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    cores: { type: 'string', default: String(xeonSilver4114.power.coreCount) },
    cache: { type: 'string' },
    'against-utilization': { type: 'boolean', default: false },
    'no-reference': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

type Cell = Omit<RunOptions, 'policy'> & { readonly name: string };

interface Outcome {
  readonly lateRatio: number;
  readonly energyJ: number;
  readonly windowsMissed: number;
  readonly windows: number;
}

/** The least share of a compliance window that counts as one. */
const LEAST_WINDOW = 0.5;

const policyNamed = (name: string) =>
  loadPolicy(existsSync(name) ? name : join(import.meta.dirname, `../policies/${name}.yaml`), controllers);

function run(cell: Cell, policy: Policy): Outcome {
  const simulated = new SimulatedRun({ ...cell, policy });
  const windowNs = cell.slo.windowMs * NS_PER_MS;
  let [requests, overSlo, windows, windowsMissed] = [0, 0, 0, 0];
  for (let fromNs = 0; fromNs < cell.durationNs; fromNs += windowNs) {
    const untilNs = Math.min(cell.durationNs, fromNs + windowNs);
    simulated.advanceTo(untilNs);
    if (untilNs - fromNs < LEAST_WINDOW * windowNs) continue;
    const { result } = simulated;
    windows++;
    const late = result.overSlo - overSlo;
    if (late > toleratedRatio(cell.slo) * (result.requests - requests) + 1e-9) windowsMissed++;
    ({ requests, overSlo } = result);
  }
  const { result } = simulated;
  return { lateRatio: result.overSlo / result.requests, energyJ: result.energyJ, windows, windowsMissed };
}

/** @returns null where the reference is not asked for, or keeps the SLO by no schedule */
function referenceJ(cell: Cell): number | null {
  if (args['no-reference']) return null;
  const file = args.cache && join(args.cache, `${cell.name}-${cell.durationNs / NS_PER_S}s-${cell.cores}-${cell.seed}`);
  if (file && existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as number | null;
  const { server, service } = new SimulatedRun({ ...cell, policy: policyNamed('performance') });
  const search = searchClairvoyant({ ...cell, server, service, intervalNs: 100 * NS_PER_MS });
  let step = search.next();
  while (step.done !== true) step = search.next();
  const joules = step.value.meetsSlo ? step.value.joules : null;
  if (file) {
    mkdirSync(args.cache!, { recursive: true });
    writeFileSync(file, JSON.stringify(joules));
  }
  return joules;
}

const HEADROOMS = [1.03, 1.06, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 1.8, 2.2];

/** The cheapest and latest first. */
function utilizationFrontier(cell: Cell): readonly Outcome[] {
  const kind = controllers['utilization']!;
  const base = policyNamed('utilization');
  return HEADROOMS.map((headroom) => run(cell, { ...base, controller: kind.create({ headroom }) }));
}

/** What `utilization` takes where as many requests are late: straight lines between the headrooms that were tried. */
function energyAtJ(frontier: readonly Outcome[], lateRatio: number): number {
  const at = frontier.findIndex((outcome) => outcome.lateRatio <= lateRatio);
  if (at === -1) return frontier.at(-1)!.energyJ;
  const [below, above] = [frontier[at]!, frontier[at - 1]];
  if (above === undefined || above.lateRatio === below.lateRatio) return below.energyJ;
  const share = (lateRatio - below.lateRatio) / (above.lateRatio - below.lateRatio);
  return below.energyJ + share * (above.energyJ - below.energyJ);
}

const percent = (share: number | null, digits = 1) => (share === null ? '-' : `${(100 * share).toFixed(digits)} %`);
const columns = ['workload', 'trace', 'policy', 'late', 'missed', 'saved', 'of attainable', 'than utilization'];
const widths = [14, 12, 22, 8, 7, 8, 14, 16];
const line = (fields: readonly string[]) =>
  fields.map((field, i) => (i < 3 ? field.padEnd(widths[i]!) : field.padStart(widths[i]!))).join(' ');

if (!args.json) console.log(line(columns.slice(0, args['against-utilization'] ? 8 : 7)));
const shares = new Map<string, number[]>();
for (const workloadName of args.workload.split(',')) {
  for (const traceName of args.trace.split(',')) {
    for (const seed of args.seed.split(',').map(Number)) {
      const workload = workloads[workloadName]!;
      const durationNs = Number(args.seconds) * NS_PER_S;
      const slo: Slo = { quantile: 0.99, latencyNs: workload.sloLatencyNs, windowMs: 60_000 };
      const cell: Cell = {
        name: `${workloadName}-${traceName}`,
        workload,
        trace: loadTraces[traceName]!(durationNs),
        server: xeonSilver4114,
        cores: Number(args.cores),
        seed,
        durationNs,
        slo,
      };
      const full = run(cell, policyNamed('performance'));
      const attainableJ = referenceJ(cell);
      const frontier = args['against-utilization'] ? utilizationFrontier(cell) : null;
      for (const name of args.policy.split(',')) {
        const outcome = run(cell, policyNamed(name));
        const savedJ = full.energyJ - outcome.energyJ;
        const share = attainableJ === null ? null : savedJ / (full.energyJ - attainableJ);
        const thanUtilization = frontier === null ? null : outcome.energyJ / energyAtJ(frontier, outcome.lateRatio) - 1;
        if (share !== null) shares.set(name, [...(shares.get(name) ?? []), share]);
        const row = {
          workload: workloadName,
          trace: traceName,
          policy: name,
          seed,
          ...outcome,
          referenceJ: attainableJ,
          savedShare: savedJ / full.energyJ,
          shareOfAttainable: share,
          thanUtilization,
        };
        if (args.json) console.log(JSON.stringify(row));
        else {
          const missed = `${outcome.windowsMissed}/${outcome.windows}`;
          const fields = [percent(outcome.lateRatio, 2), missed, percent(row.savedShare), percent(share)];
          const last = thanUtilization === null ? [] : [percent(thanUtilization)];
          console.log(line([workloadName, traceName, name, ...fields, ...last]));
        }
      }
    }
  }
}
if (!args.json) {
  for (const [name, all] of shares) {
    const mean = all.reduce((sum, share) => sum + share, 0) / all.length;
    console.log(
      `${name}: ${percent(mean)} of the attainable saving in the mean, ${percent(Math.min(...all))} at least`,
    );
  }
}
