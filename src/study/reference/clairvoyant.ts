import { busyCoreWatts } from '../../core/power-model.ts';
import type { Slo } from '../../core/slo.ts';
import { type KiloHertz, NS_PER_S, kiloHertz } from '../../core/units.ts';
import { type RequestList, listRequests } from '../../plant/requests.ts';
import type { ServerModel } from '../../plant/server-model.ts';
import { type ServiceModel, slowdownAt } from '../../plant/service-model.ts';
import { Simulation } from '../../plant/simulation.ts';

export interface ClairvoyantInput {
  readonly server: ServerModel;
  /** One service with a central queue, on all CPUs, whose clients do not wait. */
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
 * time, and the price is raised until the SLO holds over the whole run. With equal cores at one speed, first come first served is
 * exactly this: each request goes to the core that is free first, in a time that runs at the speed of the cores; so a state is
 * the cores' remaining work. Wake-up and transition latencies are left out in the search and are in the final run; where they
 * break the SLO, the search is repeated with a tighter bound.
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
  const { service, seed, durationNs, slo } = input;
  if (service.dispatch.kind !== 'central' || service.cpus !== undefined) {
    throw new RangeError(`cannot plan for ${service.name}, expected a central queue that all CPUs serve`);
  }
  const requests = listRequests(service, seed, durationNs);
  for (const tightening of [1, 0.97, 0.93, 0.87, 0.8]) {
    const schedule = yield* cheapestWithin(input, requests, tightening * slo.latencyNs);
    if (schedule === undefined) break;
    const run = runSchedule(input, schedule);
    if (run.meetsSlo) return run;
  }
  const highestKhz = Math.max(...ladderOf(input.server));
  return runSchedule(input, new Array<KiloHertz>(Math.ceil(durationNs / input.intervalNs)).fill(kiloHertz(highestKhz)));
}

/** Raises the price of a late request until few enough are late. @returns undefined where no price does it */
function* cheapestWithin(
  input: ClairvoyantInput,
  requests: RequestList,
  latencyNs: number,
): Generator<undefined, readonly KiloHertz[] | undefined> {
  const tolerated = (1 - input.slo.quantile) * requests.arrivalsNs.length + 1e-9;
  let found: readonly KiloHertz[] | undefined;
  // In J, on a logarithmic scale: from less than any request is worth to more than a whole run.
  let low = -9;
  let high = 6;
  for (let step = 0; step < 12; step++) {
    const exponent = step === 0 ? high : (low + high) / 2;
    const plan = yield* cheapestPlan(input, requests, latencyNs, 10 ** exponent);
    if (plan.late <= tolerated) {
      found = plan.frequenciesKhz;
      high = exponent;
      // What is left of the tolerance is worth less than another search.
      if (plan.late >= tolerated * (1 - SPARED_RATIO)) return found;
    } else if (step === 0) return undefined;
    else low = exponent;
  }
  return found;
}

/** A schedule that uses the tolerated late requests but for this share is good enough. */
const SPARED_RATIO = 0.01;

interface Label {
  /** By core: remaining work, in ns at full speed. */
  readonly backlogNs: Float64Array;
  /** Requests on their way and not late yet, two numbers each: arrival, and the work until it is done. */
  readonly waiting: Float64Array;
  readonly joules: number;
  readonly late: number;
  readonly cost: number;
  readonly path: Path | undefined;
}

/** How a label was reached. Apart from it, so that what it once was can be forgotten. */
interface Path {
  readonly khz: KiloHertz;
  readonly before: Path | undefined;
}

function* cheapestPlan(
  input: ClairvoyantInput,
  requests: RequestList,
  latencyNs: number,
  latePriceJ: number,
): Generator<undefined, { readonly late: number; readonly frequenciesKhz: readonly KiloHertz[] }> {
  const { server, intervalNs, durationNs } = input;
  const cores = server.machine.cpus.length;
  const ladder = ladderOf(server);
  const backlogNs = new Float64Array(cores);
  const step = new Step(input, requests, latencyNs);
  let labels: Label[] = [{ backlogNs, waiting: new Float64Array(0), joules: 0, late: 0, cost: 0, path: undefined }];
  let first = 0;
  for (let fromNs = 0; fromNs < durationNs; fromNs += intervalNs) {
    yield;
    const untilNs = Math.min(durationNs, fromNs + intervalNs);
    let next = first;
    while (next < requests.arrivalsNs.length && requests.arrivalsNs[next]! <= untilNs) next++;
    const best = new Map<number, Label>();
    for (const label of labels) {
      for (const khz of ladder) {
        step.advance(label, khz, first, next, fromNs, untilNs);
        const cost = step.joules + latePriceJ * step.late;
        const bucket = backlogBucket(step.backlogNs, cores * intervalNs);
        if (cost < (best.get(bucket)?.cost ?? Infinity)) best.set(bucket, step.label(label, khz, cost));
      }
    }
    labels = undominated([...best.entries()].sort(([a], [b]) => a - b).map(([, label]) => label));
    first = next;
  }
  const { late, path } = labels.reduce((a, b) => (b.cost < a.cost ? b : a));
  const frequenciesKhz: KiloHertz[] = [];
  for (let part = path; part !== undefined; part = part.before) frequenciesKhz.push(part.khz);
  return { late, frequenciesKhz: frequenciesKhz.reverse() };
}

/**
 * One interval at one frequency, the innermost of the search: its outcome stands in its fields until the next call, and
 * only what is kept is copied. Within an interval work is counted in ns at full speed since its start.
 */
class Step {
  readonly backlogNs: Float64Array;
  joules = 0;
  late = 0;
  declare private readonly input: ClairvoyantInput;
  declare private readonly requests: RequestList;
  declare private readonly latencyNs: number;
  declare private readonly highestKhz: number;
  private left = new Float64Array(256);
  private leftCount = 0;

  constructor(input: ClairvoyantInput, requests: RequestList, latencyNs: number) {
    this.input = input;
    this.requests = requests;
    this.latencyNs = latencyNs;
    this.highestKhz = Math.max(...ladderOf(input.server));
    this.backlogNs = new Float64Array(input.server.machine.cpus.length);
  }

  /** @param first of the requests that arrive in the interval @param next the first one after it */
  advance(label: Label, khz: KiloHertz, first: number, next: number, fromNs: number, untilNs: number): void {
    const { power } = this.input.server;
    const { arrivalsNs, demandsNs } = this.requests;
    const { backlogNs } = this;
    const cores = backlogNs.length;
    const slowdown = slowdownAt(khz, this.highestKhz, this.input.service.frequencyBoundRatio);
    const spanNs = (untilNs - fromNs) / slowdown;
    this.late = label.late;
    this.leftCount = 0;
    backlogNs.set(label.backlogNs);
    let doneNs = 0;
    for (let core = 0; core < cores; core++) doneNs += backlogNs[core]!;
    for (let i = 0; i < label.waiting.length; i += 2) {
      this.finish(label.waiting[i]!, label.waiting[i + 1]!, spanNs, slowdown, fromNs, untilNs);
    }
    for (let i = first; i < next; i++) {
      let core = 0;
      let freeNs = backlogNs[0]!;
      for (let other = 1; other < cores; other++) {
        if (backlogNs[other]! < freeNs) {
          core = other;
          freeNs = backlogNs[other]!;
        }
      }
      const arrivalNs = arrivalsNs[i]!;
      const arrivedNs = (arrivalNs - fromNs) / slowdown;
      const workNs = (arrivedNs > freeNs ? arrivedNs : freeNs) + demandsNs[i]!;
      backlogNs[core] = workNs;
      doneNs += demandsNs[i]!;
      this.finish(arrivalNs, workNs, spanNs, slowdown, fromNs, untilNs);
    }
    for (let core = 0; core < cores; core++) {
      const leftNs = Math.max(0, backlogNs[core]! - spanNs);
      backlogNs[core] = leftNs;
      doneNs -= leftNs;
    }
    const busyNs = doneNs * slowdown;
    const idleNs = cores * (untilNs - fromNs) - busyNs;
    this.joules =
      label.joules +
      (power.staticWatts * (untilNs - fromNs) + busyCoreWatts(power, khz) * busyNs + power.idleCoreWatts * idleNs) /
        NS_PER_S;
  }

  /** What the last call came to, to go on from. */
  label(before: Label, khz: KiloHertz, cost: number): Label {
    return {
      backlogNs: this.backlogNs.slice(),
      waiting: this.left.slice(0, this.leftCount),
      joules: this.joules,
      late: this.late,
      cost,
      path: { khz, before: before.path },
    };
  }

  /** Late is late, done or not: it is counted once, and followed no further. */
  private finish(
    arrivalNs: number,
    workNs: number,
    spanNs: number,
    slowdown: number,
    fromNs: number,
    untilNs: number,
  ): void {
    const isDone = workNs <= spanNs;
    if ((isDone ? fromNs + workNs * slowdown : untilNs) - arrivalNs > this.latencyNs) {
      this.late++;
    } else if (!isDone) {
      if (this.leftCount === this.left.length) {
        const longer = new Float64Array(2 * this.left.length);
        longer.set(this.left);
        this.left = longer;
      }
      this.left[this.leftCount++] = arrivalNs;
      this.left[this.leftCount++] = workNs - spanNs;
    }
  }
}

/** Finer where there is little: the difference between none and some decides more than that between much and more. */
function backlogBucket(backlogNs: Float64Array, capacityNs: number): number {
  return Math.floor(6 * Math.log2(1 + (40 * sumOf(backlogNs)) / capacityNs));
}

/** Of labels in order of backlog, those that no label with less backlog undercuts. */
function undominated(labels: readonly Label[]): Label[] {
  let cheapest = Infinity;
  return labels.filter(({ cost }) => {
    if (cost >= cheapest) return false;
    cheapest = cost;
    return true;
  });
}

function runSchedule(
  { server, service, seed, slo, intervalNs, durationNs }: ClairvoyantInput,
  schedule: readonly KiloHertz[],
): Clairvoyant {
  const simulation = new Simulation({ server, services: [{ ...service, sloLatencyNs: slo.latencyNs }], seed });
  let requests = 0;
  let late = 0;
  schedule.forEach((khz, index) => {
    simulation.actuator.apply({
      frequencyKhz: Object.fromEntries(server.machine.domains.map(({ id }) => [id, khz])),
      cpus: {},
    });
    simulation.advanceTo(Math.min(durationNs, (index + 1) * intervalNs));
    const [snapshot] = simulation.sensor.read();
    requests += snapshot!.requests;
    late += snapshot!.overSlo;
  });
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

/** What every domain can run at; of a range without steps, a dozen frequencies. */
function ladderOf({ machine }: ServerModel): readonly KiloHertz[] {
  const { stepsKhz, allowedMinKhz, allowedMaxKhz } = machine.domains[0]!;
  if (stepsKhz !== null) return stepsKhz.filter((khz) => khz >= allowedMinKhz && khz <= allowedMaxKhz);
  return Array.from({ length: RANGE_STEPS }, (_, i) =>
    kiloHertz(allowedMinKhz + ((allowedMaxKhz - allowedMinKhz) * i) / (RANGE_STEPS - 1)),
  );
}

const sumOf = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0);
