import { busyCoreWatts } from '../../core/power-model.ts';
import type { Slo } from '../../core/slo.ts';
import { NS_PER_S } from '../../core/units.ts';
import type { RequestList } from '../../plant/requests.ts';
import { type ServerModel, idleStatesOf } from '../../plant/server-model.ts';
import { slowdownAt } from '../../plant/service-model.ts';

export interface LowerBound {
  readonly joules: number;
  /** In words: what a schedule may do in the relaxed problem that a real policy may not. */
  readonly relaxation: string;
}

export interface LowerBoundInput {
  readonly server: ServerModel;
  readonly requests: RequestList;
  readonly frequencyBoundRatio: number;
  readonly slo: Slo;
  readonly durationNs: number;
}

const RELAXATION =
  'the future is known; work is a fluid that any number of cores may share; every core has its own frequency, changes it at once and for nothing, and idles in its cheapest state at once; the run is cut into windows, and a request that is not among the tolerated late ones must be done in the window that it arrives in only where both its arrival and its deadline lie in it; all other work may be done at any time at the cheapest frequency';

/**
 * Energy that no policy can undercut which serves these requests of one service with at most the tolerated share of them
 * late, and leaves none undone at the end that is older than the objective.
 *
 * Proof. Let i be the least that a core ever draws, s(f) the time for a unit of demand at frequency f, and
 * g(f) = (busy power − i) · s(f) what a unit costs beyond that. All energy is at least static power and i for every core, plus
 * g at some frequency for each unit of work, so at least g_min for each. In a window of length D, k cores have
 * k·D of time; for work R that must be done in it and any price m ≥ 0 of time, weak duality gives
 * energy ≥ R · min_f (g(f) + m·s(f)) − m·k·D. The windows are disjoint, so their energies add up. Which requests are late is
 * the policy's choice: with v late ones in a window, R is at least the work of all but the v largest. For any price p ≥ 0 of
 * a late request, Σ min_v (energy(v) + p·v) − p · (how many may be late) is below the energy of every choice. Any m and p are
 * valid, so that a search which stops early loosens the bound, and never breaks it.
 */
export function energyLowerBound(input: LowerBoundInput): LowerBound {
  const { server, slo, durationNs } = input;
  const { power } = server;
  const cores = server.machine.cpus.length;
  const cells = frequencyCells(input);
  // What a core draws at the very least, whatever it does.
  const leastWatts = Math.min(
    ...idleStatesOf(server).map(({ watts }) => watts),
    ...cells.map(({ busyWatts }) => busyWatts),
  );
  const restWatts = power.staticWatts + Math.max(0, power.coreCount - cores) * power.idleCoreWatts + cores * leastWatts;
  const lines = costLines(cells, leastWatts);
  // Long windows lose little work at their edges, short ones see bursts. Each cut gives a bound: the highest counts.
  const windowCounts = [1, 3, 10, 30, 100, 300].filter(
    (count) => durationNs / count >= 3 * slo.latencyNs || count === 1,
  );
  const best = Math.max(...windowCounts.map((count) => boundWithWindows(input, lines, count)));
  return { joules: (restWatts * durationNs + best) / NS_PER_S, relaxation: RELAXATION };
}

/** What a unit of work costs beyond resting when core time has a price: min over f of g(f) + price · s(f). */
interface CostLine {
  readonly priceWatts: number;
  readonly perUnit: number;
}

function costLines(cells: readonly FrequencyCell[], leastWatts: number): readonly CostLine[] {
  // Up to several times what the dearest frequency draws, and 0: work that nothing hurries.
  const dearestWatts = Math.max(...cells.map(({ busyWatts }) => busyWatts));
  const prices = [0, ...Array.from({ length: 95 }, (_, j) => dearestWatts * 1e-3 * 10_000 ** (j / 94))];
  return prices.map((priceWatts) => ({
    priceWatts,
    perUnit: Math.min(...cells.map(({ busyWatts, slowdown }) => (busyWatts - leastWatts + priceWatts) * slowdown)),
  }));
}

/** Energy beyond resting, in W · ns, of a run cut into so many windows. */
function boundWithWindows(input: LowerBoundInput, lines: readonly CostLine[], count: number): number {
  const { server, requests, slo, durationNs } = input;
  const coreTimeNs = (server.machine.cpus.length * durationNs) / count;
  const cheapest = lines[0]!.perUnit;
  const windows = windowsOf(requests, count, durationNs, slo.latencyNs).map(({ allWork, demandsNs }) =>
    latesOf(demandsNs).map(({ atLeast, required }) => ({
      atLeast,
      // What must be done here, at what it costs here; the rest at the cheapest.
      energy:
        cheapest * (allWork - required) +
        Math.max(...lines.map(({ priceWatts, perUnit }) => perUnit * required - priceWatts * coreTimeNs)),
    })),
  );
  const tolerated = Math.floor((1 - slo.quantile) * requests.arrivalsNs.length + 1e-9);
  const boundAt = (latePrice: number) =>
    windows.reduce(
      (sum, lates) => sum + Math.min(...lates.map(({ atLeast, energy }) => energy + latePrice * atLeast)),
      -latePrice * tolerated,
    );
  const allInTime = windows.reduce((sum, lates) => sum + lates[0]!.energy, 0);
  return Math.max(boundAt(0), ...Array.from({ length: 121 }, (_, j) => boundAt(allInTime * 10 ** (-12 + j / 10))));
}

/** A frequency, or a stretch of a range, with no more power and no longer times than it has anywhere in it. */
interface FrequencyCell {
  readonly busyWatts: number;
  readonly slowdown: number;
}

const CELLS = 500;

function frequencyCells({ server, frequencyBoundRatio }: LowerBoundInput): readonly FrequencyCell[] {
  const highestKhz = Math.max(...server.machine.domains.map(({ maxKhz }) => maxKhz));
  return server.machine.domains.flatMap(({ stepsKhz, allowedMinKhz, allowedMaxKhz }) => {
    // Power rises with the frequency, and times fall.
    const cell = (lowKhz: number, highKhz: number): FrequencyCell => ({
      busyWatts: busyCoreWatts(server.power, lowKhz),
      slowdown: slowdownAt(highKhz, highestKhz, frequencyBoundRatio),
    });
    if (stepsKhz !== null) return stepsKhz.map((khz) => cell(khz, khz));
    const edge = (i: number) => allowedMinKhz + ((allowedMaxKhz - allowedMinKhz) * i) / CELLS;
    return Array.from({ length: CELLS }, (_, i) => cell(edge(i), edge(i + 1)));
  });
}

interface Window {
  /** Of everything that arrives in it, and has its deadline before the end of the run. */
  allWork: number;
  /** Of what has its deadline in it, too. */
  readonly demandsNs: number[];
}

function windowsOf(
  { arrivalsNs, demandsNs }: RequestList,
  count: number,
  durationNs: number,
  latencyNs: number,
): readonly Window[] {
  const lengthNs = durationNs / count;
  const windows = Array.from({ length: count }, (): Window => ({ allWork: 0, demandsNs: [] }));
  arrivalsNs.forEach((arrivalNs, i) => {
    const index = Math.min(count - 1, Math.floor(arrivalNs / lengthNs));
    const window = windows[index]!;
    // What arrives so late that it need not be done before the end.
    if (arrivalNs + latencyNs > durationNs) return;
    window.allWork += demandsNs[i]!;
    if (arrivalNs + latencyNs <= (index + 1) * lengthNs) window.demandsNs.push(demandsNs[i]!);
  });
  return windows;
}

/** By ranges of how many are late, at least so many: the work that at least must be done, with the largest left out. */
function latesOf(demandsNs: readonly number[]): { atLeast: number; required: number }[] {
  const ascending = Float64Array.from(demandsNs).sort();
  const smallest = new Float64Array(ascending.length + 1);
  ascending.forEach((demandNs, i) => (smallest[i + 1] = smallest[i]! + demandNs));
  const ranges: { atLeast: number; required: number }[] = [];
  for (let atLeast = 0; atLeast <= ascending.length;) {
    const atMost = Math.min(ascending.length, Math.floor(atLeast * 1.1));
    ranges.push({ atLeast, required: smallest[ascending.length - atMost]! });
    atLeast = atMost + 1;
  }
  return ranges;
}
