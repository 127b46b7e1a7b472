import { NS_PER_S } from '../../core/units.ts';
import { type IdleCurve, idleCurveOf } from '../../plant/energy-meter.ts';
import type { RequestList } from '../../plant/requests.ts';
import type { ServerModel } from '../../plant/server-model.ts';

/** A queue and the cores that serve it, at the end of a span of time. Never changed: the same object is the same state. */
export interface QueueState {
  /** By core: the work at hand, in ns at full speed; not above 0: for how many ns it has been idle. */
  readonly loadNs: Float64Array;
  /** By core: what is left of its waking up, which comes first. */
  readonly wakeNs: Float64Array;
  /**
   * Requests on their way and not late yet, three numbers each: when they will be late, the waking up before them, and the work
   * until they are done.
   */
  readonly waiting: Float64Array;
}

/** What a span of time at one frequency comes to. */
export interface Passage {
  /** Of the cores alone. */
  readonly joules: number;
  /** Requests that have become late in it, done or not. */
  readonly late: number;
  readonly after: QueueState;
}

/** One of the frequencies to choose from. */
export interface Speed {
  /** Time per unit of demand. */
  readonly slowdown: number;
  readonly busyWatts: number;
}

export interface KnownQueueInput {
  readonly server: ServerModel;
  readonly requests: RequestList;
  /** How many serve this queue. */
  readonly cores: number;
  /** A request takes longer than this, and it is late. */
  readonly latencyNs: number;
  readonly offCoreRatio: number;
  readonly speeds: readonly Speed[];
  /** Spans lie between them, ascending. */
  readonly boundariesNs: Float64Array;
}

/** The first run through a span at a speed, from whatever state. */
interface Pilot {
  readonly before: QueueState;
  readonly looks: readonly Look[];
  readonly passage: Passage;
}

/** Where a run stood at the arrival of a request. */
interface Look {
  readonly joules: number;
  readonly late: number;
  readonly freeNs: readonly number[];
}

/** Requests between the first two looks; then twice as many each time. */
const FIRST_STRIDE = 16;

/**
 * A queue whose requests are all known, span by span as the plant would serve it: first come first served, each request on the
 * first core by number that is free, or else that is free first, with wake-ups and idle states.
 *
 * Queues forget. Two runs through the same span at the same speed become one as soon as the cores are busy until the
 * same instants, and from there on have the same in common for ever. So the first run notes in passing where it stood, and
 * any other run goes only as far as it differs: some dozens of requests where a span has thousands.
 */
export class KnownQueue {
  declare private readonly input: KnownQueueInput;
  declare private readonly idle: IdleCurve;
  /** From this age on a core idles on as any other does. */
  declare private readonly deepNs: number;
  /** By boundary: the first request from there on. */
  declare private readonly firsts: Int32Array;
  declare private readonly pilots: (Pilot | undefined)[];

  // The run under way: when each core is done with all that it was given, what that takes, in W · ns, and since when it is awake.
  declare private readonly freeNs: Float64Array;
  declare private readonly awakeNs: Float64Array;
  private wattNs = 0;
  private late = 0;
  private left = new Float64Array(64);
  private leftCount = 0;
  private untilNs = 0;
  private slowdown = 1;
  private busyWatts = 0;

  constructor(input: KnownQueueInput) {
    const { boundariesNs, requests, server, cores, speeds } = input;
    this.input = input;
    this.idle = idleCurveOf(server);
    this.deepNs = this.idle.afterNs.at(-1)!;
    this.firsts = new Int32Array(boundariesNs.length);
    let request = 0;
    boundariesNs.forEach((boundaryNs, index) => {
      while (request < requests.arrivalsNs.length && requests.arrivalsNs[request]! < boundaryNs) request++;
      this.firsts[index] = request;
    });
    // What arrives at the very end belongs to the last span.
    this.firsts[boundariesNs.length - 1] = requests.arrivalsNs.length;
    this.pilots = new Array<Pilot | undefined>(boundariesNs.length * speeds.length).fill(undefined);
    this.freeNs = new Float64Array(cores);
    this.awakeNs = new Float64Array(cores);
  }

  get requests(): number {
    return this.input.requests.arrivalsNs.length;
  }

  /** As the plant starts: idle since this very instant. */
  atRest(): QueueState {
    const { cores } = this.input;
    return { loadNs: new Float64Array(cores), wakeNs: new Float64Array(cores), waiting: new Float64Array(0) };
  }

  /** @returns undefined where more than `mostLate` become late: nobody wants to know the rest */
  pass(before: QueueState, span: number, speed: number, mostLate: number): Passage | undefined {
    const { boundariesNs, latencyNs, speeds, requests } = this.input;
    const slot = span * speeds.length + speed;
    const pilot = this.pilots[slot];
    if (pilot?.before === before) return pilot.passage;
    const looks: Look[] = [];
    let looked = 0;
    const untilNs = boundariesNs[span + 1]!;
    const end = this.firsts[span + 1]!;
    this.begin(before, boundariesNs[span]!, untilNs, speeds[speed]!);
    for (let at = this.firsts[span]!, stride = FIRST_STRIDE; at < end; stride *= 2) {
      const from = at;
      at = Math.min(end, at + stride);
      this.serve(from, at);
      if (this.late > mostLate) return undefined;
      const nowNs = requests.arrivalsNs[at - 1]!;
      // What may be on its way at the end must have arrived after the runs became one.
      if (nowNs > untilNs - latencyNs) continue;
      const there = pilot?.looks[looked++];
      if (pilot === undefined) {
        looks.push({ joules: this.joulesAt(nowNs), late: this.late, freeNs: Array.from(this.freeNs) });
      } else if (there !== undefined && this.isOneWith(there, nowNs)) {
        const { joules, late, after } = pilot.passage;
        return { joules: joules + this.joulesAt(nowNs) - there.joules, late: late + this.late - there.late, after };
      }
    }
    const passage = { joules: this.joulesAt(untilNs), late: this.late, after: this.end() };
    this.pilots[slot] ??= { before, looks, passage };
    return passage;
  }

  private begin(before: QueueState, fromNs: number, untilNs: number, { slowdown, busyWatts }: Speed): void {
    const { loadNs, wakeNs, waiting } = before;
    this.untilNs = untilNs;
    this.slowdown = slowdown;
    this.busyWatts = busyWatts;
    this.wattNs = 0;
    this.late = 0;
    this.leftCount = 0;
    loadNs.forEach((workNs, core) => {
      const busyNs = workNs > 0 ? wakeNs[core]! + workNs * slowdown : 0;
      this.awakeNs[core] = fromNs + wakeNs[core]!;
      this.freeNs[core] = fromNs + (workNs > 0 ? busyNs : workNs);
      // What an idle core has drawn before this span is not of this span.
      this.wattNs += workNs > 0 ? busyWatts * busyNs : -this.idleEnergy(-workNs);
    });
    for (let i = 0; i < waiting.length; i += 3) {
      const awakeNs = fromNs + waiting[i + 1]!;
      this.finish(waiting[i]!, awakeNs, awakeNs + waiting[i + 2]! * slowdown);
    }
  }

  private serve(from: number, to: number): void {
    const { freeNs, awakeNs, slowdown, busyWatts } = this;
    const { latencyNs, offCoreRatio } = this.input;
    const { arrivalsNs, demandsNs } = this.input.requests;
    const cores = freeNs.length;
    for (let i = from; i < to; i++) {
      const arrivalNs = arrivalsNs[i]!;
      const demandNs = demandsNs[i]!;
      let core = 0;
      let busyFromNs = freeNs[0]!;
      for (let other = 1; busyFromNs > arrivalNs && other < cores; other++) {
        if (freeNs[other]! < busyFromNs) {
          core = other;
          busyFromNs = freeNs[other]!;
        }
      }
      let startNs = busyFromNs;
      if (busyFromNs <= arrivalNs) {
        const idleNs = arrivalNs - busyFromNs;
        this.wattNs += this.idleEnergy(idleNs);
        busyFromNs = arrivalNs;
        startNs = arrivalNs + this.idle.wakeNs[this.idleState(idleNs)]!;
        awakeNs[core] = startNs;
      }
      const doneNs = startNs + demandNs * slowdown;
      this.wattNs += busyWatts * (doneNs - busyFromNs);
      freeNs[core] = doneNs;
      this.finish(arrivalNs + latencyNs - offCoreRatio * demandNs, awakeNs[core]!, doneNs);
    }
  }

  /** Late is late, done or not: it is counted once, and followed no further. */
  private finish(dueNs: number, awakeNs: number, doneNs: number): void {
    if (Math.min(doneNs, this.untilNs) > dueNs) {
      this.late++;
    } else if (doneNs > this.untilNs) {
      if (this.leftCount + 3 > this.left.length) {
        const longer = new Float64Array(2 * this.left.length);
        longer.set(this.left);
        this.left = longer;
      }
      const wakeNs = Math.max(0, awakeNs - this.untilNs);
      this.left[this.leftCount++] = dueNs;
      this.left[this.leftCount++] = wakeNs;
      this.left[this.leftCount++] = (doneNs - this.untilNs - wakeNs) / this.slowdown;
    }
  }

  private end(): QueueState {
    const { untilNs, slowdown } = this;
    const wakeNs = this.awakeNs.map((awakeNs) => Math.max(0, awakeNs - untilNs));
    const loadNs = this.freeNs.map((freeNs, core) =>
      freeNs > untilNs ? (freeNs - untilNs - wakeNs[core]!) / slowdown : -Math.min(untilNs - freeNs, this.deepNs),
    );
    return { loadNs, wakeNs, waiting: this.left.slice(0, this.leftCount) };
  }

  /** What the cores have drawn since the span began, all that they were given by then looked at. */
  private joulesAt(nowNs: number): number {
    let wattNs = this.wattNs;
    for (const freeNs of this.freeNs) {
      wattNs += freeNs > nowNs ? -this.busyWatts * (freeNs - nowNs) : this.idleEnergy(nowNs - freeNs);
    }
    return wattNs / NS_PER_S;
  }

  private isOneWith(there: Look, nowNs: number): boolean {
    const deepSinceNs = nowNs - this.deepNs;
    return this.freeNs.every((freeNs, core) => {
      const thereNs = there.freeNs[core]!;
      return freeNs === thereNs || (freeNs <= deepSinceNs && thereNs <= deepSinceNs);
    });
  }

  private idleState(ageNs: number): number {
    const { afterNs } = this.idle;
    let state = afterNs.length - 1;
    while (state > 0 && afterNs[state]! > ageNs) state--;
    return state;
  }

  /** W · ns of the first `ageNs` of an idle period. */
  private idleEnergy(ageNs: number): number {
    const { afterNs, watts, energyBefore } = this.idle;
    const state = this.idleState(ageNs);
    return energyBefore[state]! + watts[state]! * (ageNs - afterNs[state]!);
  }
}
