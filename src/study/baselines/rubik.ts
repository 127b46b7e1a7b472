import { NS_PER_US } from '../../core/units.ts';
import { SampleStream } from '../../plant/distribution.ts';
import { Random } from '../../plant/random.ts';
import type { Baseline, BaselineFacts, PlantView } from './baseline.ts';

const SAMPLES = 4000;
/** Rows of the table: by how much of a request is done, in quantiles of the demand. */
const ROWS = 8;
/** Its columns: places in the queue. Beyond them sums are taken to grow by the mean. */
const COLUMNS = 16;

/**
 * Rubik: from the distribution of demand, the tail of the work that is left before each request in the queue is done; the
 * frequency is the least at which all of them meet the target.
 */
export const rubik: Baseline = {
  name: 'rubik',
  summary: 'The least frequency at which the tail of the work ahead of every queued request still meets the target',
  source:
    'Kasture et al., "Rubik: Fast Analytical Power Management for Latency-Critical Systems", MICRO 2015. Reconstructed from the paper\'s description: tables of the tail of the work left, by elapsed work and place in the queue, and f = max over the queue of cycles ÷ (target − time since arrival − time that does not scale). Other than there: the demand distribution is known beforehand, not profiled; the quantile is the SLO\'s; looks at fixed short intervals, not at each arrival and completion; no slow feedback on the target; where the queue is central, what is ahead of a waiting request is shared by all cores',
  intervalNs: ({ slo }) => Math.max(50 * NS_PER_US, slo.latencyNs / 100),
  start(facts) {
    const { server, service, highestKhz } = facts;
    const cores = server.machine.cpus.length;
    const tails = tailTable(facts);
    const central = service.dispatch.kind === 'central';
    const elapsedWork = elapsedWorkMeter(facts);
    const wanted = new Float64Array(cores);
    return (view) => {
      for (let core = 0; core < cores; core++) {
        const arrivalNs = view.servingArrivalNs(core);
        const row = tails.rowOf(elapsedWork(view, core));
        wanted[core] = arrivalNs === Infinity ? 0 : neededKhz(facts, tails.tailNs(row, 0), view.nowNs - arrivalNs);
        if (!central)
          wanted[core] = Math.max(
            wanted[core]!,
            ofQueue(view, core, (place) => tails.tailNs(row, place + 1)),
          );
      }
      const shared = central
        ? ofQueue(view, 0, (place) => tails.tailNs(0, 0) + ((place + 1) * tails.meanNs) / cores)
        : 0;
      return (core) => Math.max(wanted[core]!, shared);
    };

    function ofQueue(view: PlantView, core: number, workNs: (place: number) => number): number {
      let khz = 0;
      for (let place = 0; place < view.waiting(core) && khz < highestKhz; place++) {
        khz = Math.max(khz, neededKhz(facts, workNs(place), view.nowNs - view.waitingArrivalNs(core, place)));
      }
      return khz;
    }
  },
};

/** The least frequency that does the work, in ns at full speed, before the target; the highest where none does. */
function neededKhz({ service, slo, highestKhz }: BaselineFacts, workNs: number, ageNs: number): number {
  const ratio = service.frequencyBoundRatio;
  const scalableNs = slo.latencyNs - ageNs - (1 - ratio) * workNs;
  return scalableNs <= 0 ? highestKhz : Math.min(highestKhz, (ratio * workNs * highestKhz) / scalableNs);
}

/** As cycle counters would: how much of the request under way each core has done, in ns at full speed. */
function elapsedWorkMeter({ server, service, highestKhz }: BaselineFacts): (view: PlantView, core: number) => number {
  const cores = server.machine.cpus.length;
  const ratio = service.frequencyBoundRatio;
  const startedNs = new Float64Array(cores).fill(-1);
  const doneNs = new Float64Array(cores);
  return (view, core) => {
    if (view.servingArrivalNs(core) === Infinity) return 0;
    const startNs = view.servingStartNs(core);
    if (startNs !== startedNs[core]) doneNs[core] = 0;
    startedNs[core] = startNs;
    const spentNs = Math.max(0, Math.min(view.elapsedNs, view.nowNs - startNs));
    doneNs[core] = doneNs[core]! + spentNs / ((ratio * highestKhz) / view.frequencyKhz(core) + 1 - ratio);
    return doneNs[core];
  };
}

interface TailTable {
  readonly meanNs: number;
  /** @param workNs done of the request under way */
  rowOf(workNs: number): number;
  /** The SLO's quantile of the work until the request in this place is done; 0 is the one that is served. */
  tailNs(row: number, place: number): number;
}

/** By sampling: sums of what is left of one demand and of whole ones. The same for every run of a workload. */
function tailTable({ service, slo }: BaselineFacts): TailTable {
  const stream = new SampleStream(service.demand, new Random(0, `rubik's profile of ${service.name}`));
  const draws = Float64Array.from({ length: SAMPLES }, () => stream.next());
  const meanNs = draws.reduce((sum, draw) => sum + draw, 0) / SAMPLES;
  const sorted = draws.toSorted();
  const edges = Array.from({ length: ROWS }, (_, row) => (row === 0 ? 0 : sorted[Math.floor((row * SAMPLES) / ROWS)]!));
  const table = edges.map((edgeNs, row) => {
    const longer = row === 0 ? sorted : sorted.filter((draw) => draw > edgeNs);
    const left = longer.length === 0 ? Float64Array.of(0) : longer.map((draw) => draw - edgeNs);
    const sums = Float64Array.from({ length: SAMPLES }, (_, i) => left[i % left.length]!);
    return Array.from({ length: COLUMNS }, (_, place) => {
      if (place > 0) sums.forEach((sum, i) => (sums[i] = sum + draws[(i * 31 + place * 977) % SAMPLES]!));
      return sums.toSorted()[Math.min(SAMPLES - 1, Math.floor(slo.quantile * SAMPLES))]!;
    });
  });
  return {
    meanNs,
    rowOf: (workNs) => edges.findLastIndex((edgeNs) => edgeNs <= workNs),
    tailNs(row, place) {
      const beyond = Math.max(0, place - (COLUMNS - 1));
      return table[row]![place - beyond]! + beyond * meanNs;
    },
  };
}
