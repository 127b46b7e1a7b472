import { busyCoreWatts } from '../../core/power-model.ts';
import type { Slo } from '../../core/slo.ts';
import { type KiloHertz, kiloHertz } from '../../core/units.ts';
import { listQueues } from '../../plant/requests.ts';
import type { ServerModel } from '../../plant/server-model.ts';
import { type ServiceModel, slowdownAt } from '../../plant/service-model.ts';
import { Simulation } from '../../plant/simulation.ts';
import { KnownQueue, type QueueState } from './known-queue.ts';

export interface ClairvoyantInput {
  readonly server: ServerModel;
  /** One service on all CPUs, whose clients do not wait. */
  readonly service: ServiceModel;
  readonly seed: number;
  readonly slo: Slo;
  /** Between two changes of frequency: that of the policies it is compared with. */
  readonly intervalNs: number;
  readonly durationNs: number;
}

export interface Clairvoyant {
  /** One frequency for all cores, interval by interval. */
  readonly frequenciesKhz: readonly KiloHertz[];
  /** As the plant has it, which runs this schedule: energy, and the share of requests that were late. */
  readonly joules: number;
  readonly requests: number;
  readonly lateRatio: number;
  /** False where no schedule was found that keeps the SLO: what is returned is then full speed. */
  readonly meetsSlo: boolean;
}

/**
 * A schedule of frequencies made with knowledge of every request: what a perfect forecaster could do who sets one frequency
 * for all cores at the same intervals as the policies do. Its energy is one that can be reached, so it is a reference, not a
 * bound: the search keeps, for each interval and each amount of backlog, only the cheapest way to it, and a little more may be
 * possible.
 *
 * A dynamic program over backlog. A late request costs a price; for a given price the cheapest schedule is found forward in
 * time, and the price is raised until the SLO holds over the whole run. Its steps are exact: each queue is served from what it
 * really holds, be it one for all cores or one a core. Where a core has one of its own, the longest queue is the backlog. No
 * single frequency for the whole run that keeps the SLO takes less. The schedule is run on the plant, and where it does not
 * keep the SLO there, the search is repeated with fewer late requests.
 *
 * @throws RangeError for a service that the program does not cover
 */
export function clairvoyantSchedule(input: ClairvoyantInput): Clairvoyant {
  const search = searchClairvoyant(input);
  for (;;) {
    const step = search.next();
    if (step.done === true) return step.value;
  }
}

/** The same, interval by interval: whoever drives it may look at other things in between, or give up. */
export function* searchClairvoyant(input: ClairvoyantInput): Generator<undefined, Clairvoyant> {
  const { service, slo } = input;
  if (service.cpus !== undefined) {
    throw new RangeError(`cannot plan for ${service.name} on some of the CPUs, expected a service that uses all`);
  }
  const known = new KnownService(input);
  const tolerated = (1 - slo.quantile) * known.requests;
  for (const share of [1, 0.99, 0.95, 0.8, 0.5, 0]) {
    const schedule = yield* cheapestWithin(known, share * tolerated + 1e-9);
    if (schedule === undefined) break;
    const run = yield* runSchedule(input, schedule);
    if (run.meetsSlo) return run;
  }
  return yield* runSchedule(input, new Array<KiloHertz>(known.intervals).fill(known.ladder.at(-1)!));
}

/** What the search knows: every queue, and the frequencies that there are, ascending. */
class KnownService {
  readonly ladder: readonly KiloHertz[];
  readonly queues: readonly KnownQueue[];
  readonly intervals: number;
  /** When the first interval's frequency comes into force. */
  readonly start: Label;
  declare private readonly coresPerQueue: number;
  /** The backlog of a core that matters: what an interval or the objective has room for. */
  declare private readonly roomNs: number;

  constructor({ server, service, seed, slo, intervalNs, durationNs }: ClairvoyantInput) {
    const cores = server.machine.cpus.length;
    const highestKhz = Math.max(...server.machine.domains.map(({ maxKhz }) => maxKhz));
    this.ladder = ladderOf(server);
    this.intervals = Math.ceil(durationNs / intervalNs);
    const lists = listQueues(service, seed, durationNs, cores);
    this.coresPerQueue = cores / lists.length;
    this.roomNs = Math.min(intervalNs, slo.latencyNs);
    // A frequency is in force after the transition latency: until the first one is, the server runs as it starts.
    const changesNs = Array.from({ length: this.intervals }, (_, interval) =>
      Math.min(durationNs, interval * intervalNs + server.transitionLatencyNs),
    );
    const shared = {
      server,
      cores: this.coresPerQueue,
      latencyNs: slo.latencyNs,
      offCoreRatio: service.offCoreRatio ?? 0,
      boundariesNs: Float64Array.of(0, ...changesNs, durationNs),
      speeds: this.ladder.map((khz) => ({
        slowdown: slowdownAt(khz, highestKhz, service.frequencyBoundRatio),
        busyWatts: busyCoreWatts(server.power, khz),
      })),
    };
    this.queues = lists.map((requests) => new KnownQueue({ ...shared, requests }));
    const begin: Label = { states: this.queues.map((queue) => queue.atRest()), late: 0, cost: 0, path: undefined };
    this.start = { ...this.after(begin, 0, this.ladder.length - 1, 0, Infinity)!, path: undefined };
  }

  get requests(): number {
    return this.queues.reduce((sum, queue) => sum + queue.requests, 0);
  }

  /** @returns undefined where it costs `mostCost` or more */
  after(label: Label, span: number, speed: number, latePriceJ: number, mostCost: number): Label | undefined {
    const states: QueueState[] = [];
    let { cost, late } = label;
    for (const [index, queue] of this.queues.entries()) {
      const passage = queue.pass(label.states[index]!, span, speed, (mostCost - cost) / latePriceJ);
      if (passage === undefined) return undefined;
      cost += passage.joules + latePriceJ * passage.late;
      if (cost >= mostCost) return undefined;
      late += passage.late;
      states.push(passage.after);
    }
    return { states, late, cost, path: { khz: this.ladder[speed]!, before: label.path } };
  }

  /** Finer where there is little: the difference between none and some decides more than that between much and more. */
  bucketOf({ states }: Label): number {
    let longestNs = 0;
    for (const { loadNs } of states) {
      let queueNs = 0;
      for (const workNs of loadNs) queueNs += Math.max(0, workNs);
      longestNs = Math.max(longestNs, queueNs);
    }
    return Math.floor(6 * Math.log2(1 + (40 * longestNs) / (this.coresPerQueue * this.roomNs)));
  }
}

/** The cheapest way found to what the queues hold at the end of an interval. */
interface Label {
  readonly states: readonly QueueState[];
  readonly late: number;
  /** Energy of the cores, and the price of the late requests, in J. */
  readonly cost: number;
  readonly path: Path | undefined;
}

/** How a label was reached. Apart from it, so that what it once was can be forgotten. */
interface Path {
  readonly khz: KiloHertz;
  readonly before: Path | undefined;
}

/** @returns undefined where no schedule is found that has no more late requests than are tolerated */
function* cheapestWithin(
  known: KnownService,
  tolerated: number,
): Generator<undefined, readonly KiloHertz[] | undefined> {
  let found: Label | undefined;
  let foundJoules = Infinity;
  // From the highest: where that is not enough, nothing is.
  for (let speed = known.ladder.length - 1; speed >= 0; speed--) {
    const fixed = yield* cheapestPlan(known, [speed], 0, tolerated);
    if (fixed === undefined) break;
    if (fixed.cost < foundJoules) [found, foundJoules] = [fixed, fixed.cost];
  }
  if (found === undefined) return undefined;
  const speeds = known.ladder.map((_, speed) => speed).reverse();
  // In J, on a logarithmic scale: from less than any request is worth to more than a whole run.
  let low = -9;
  let high = 6;
  for (let step = 0; step < 12; step++) {
    const exponent = (low + high) / 2;
    const plan = yield* cheapestPlan(known, speeds, 10 ** exponent, tolerated);
    if (plan === undefined) {
      low = exponent;
      continue;
    }
    high = exponent;
    const joules = plan.cost - 10 ** exponent * plan.late;
    if (joules < foundJoules) [found, foundJoules] = [plan, joules];
    // What is left of the tolerance is worth less than another search.
    if (plan.late >= tolerated * (1 - SPARED_RATIO)) break;
  }
  const frequenciesKhz: KiloHertz[] = [];
  for (let part = found.path; part !== undefined; part = part.before) frequenciesKhz.push(part.khz);
  return frequenciesKhz.reverse();
}

/** A schedule that uses the tolerated late requests but for this share is good enough. */
const SPARED_RATIO = 0.01;

/**
 * @param speeds to choose from, the highest first
 * @returns undefined where the cheapest has more late requests than are tolerated
 */
function* cheapestPlan(
  known: KnownService,
  speeds: readonly number[],
  latePriceJ: number,
  tolerated: number,
): Generator<undefined, Label | undefined> {
  let labels: readonly Label[] = [known.start];
  for (let span = 1; span <= known.intervals; span++) {
    yield;
    const best = new Map<number, Label>();
    for (const label of labels) {
      // What is slower than another and no cheaper leads nowhere.
      let leastCost = Infinity;
      for (const speed of speeds) {
        const after = known.after(label, span, speed, latePriceJ, leastCost);
        if (after === undefined) continue;
        leastCost = after.cost;
        const bucket = known.bucketOf(after);
        if (after.cost < (best.get(bucket)?.cost ?? Infinity)) best.set(bucket, after);
      }
    }
    labels = undominated([...best.entries()].sort(([a], [b]) => a - b).map(([, label]) => label));
    if (labels.every(({ late }) => late > tolerated)) return undefined;
  }
  const cheapest = labels.at(-1)!;
  return cheapest.late > tolerated ? undefined : cheapest;
}

/** Of labels in order of backlog, those that no label with less backlog undercuts. The last is the cheapest. */
function undominated(labels: readonly Label[]): Label[] {
  let cheapest = Infinity;
  return labels.filter(({ cost }) => {
    if (cost >= cheapest) return false;
    cheapest = cost;
    return true;
  });
}

function* runSchedule(
  { server, service, seed, slo, intervalNs, durationNs }: ClairvoyantInput,
  schedule: readonly KiloHertz[],
): Generator<undefined, Clairvoyant> {
  const simulation = new Simulation({ server, services: [{ ...service, sloLatencyNs: slo.latencyNs }], seed });
  let requests = 0;
  let late = 0;
  for (const [index, khz] of schedule.entries()) {
    yield;
    simulation.actuator.apply({
      frequencyKhz: Object.fromEntries(server.machine.domains.map(({ id }) => [id, khz])),
      cpus: {},
    });
    simulation.advanceTo(Math.min(durationNs, (index + 1) * intervalNs));
    const [snapshot] = simulation.sensor.read();
    requests += snapshot!.requests;
    late += snapshot!.overSlo;
  }
  const lateRatio = requests === 0 ? 0 : late / requests;
  return {
    frequenciesKhz: schedule,
    joules: simulation.energyJoules,
    requests,
    lateRatio,
    meetsSlo: lateRatio <= 1 - slo.quantile + 1e-12,
  };
}

const RANGE_STEPS = 12;

/** What every domain can run at, ascending; of a range without steps, a dozen frequencies. */
function ladderOf({ machine }: ServerModel): readonly KiloHertz[] {
  const { stepsKhz, allowedMinKhz, allowedMaxKhz } = machine.domains[0]!;
  if (stepsKhz !== null) return stepsKhz.filter((khz) => khz >= allowedMinKhz && khz <= allowedMaxKhz);
  return Array.from({ length: RANGE_STEPS }, (_, i) =>
    kiloHertz(allowedMinKhz + ((allowedMaxKhz - allowedMinKhz) * i) / (RANGE_STEPS - 1)),
  );
}
