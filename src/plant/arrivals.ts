import { NS_PER_S } from '../core/units.ts';
import { type Distribution, SampleStream } from './distribution.ts';
import { EventTree } from './event-tree.ts';
import { type LoadTrace, TraceCursor, constantTrace, traceProblemOf } from './load-trace.ts';
import { Random } from './random.ts';

/** How requests come to a service. Plain data. */
export type Arrivals =
  | { readonly kind: 'poisson'; readonly ratePerS: number }
  /** Evenly spaced. */
  | { readonly kind: 'regular'; readonly ratePerS: number }
  /** Gaps between arrivals drawn independently: a renewal process. */
  | { readonly kind: 'renewal'; readonly gaps: Distribution }
  /** At recorded times, ascending, since the start; then no more. */
  | { readonly kind: 'replay'; readonly arrivalsNs: ArrayLike<number> }
  /** Each client waits for its reply, thinks, and asks again. */
  | { readonly kind: 'closed'; readonly clients: number; readonly thinkTime: Distribution };

export const NOBODY = -1;

/** Where a service's requests come from. The demand of a request is drawn elsewhere: by arrival order, not by who sends it. */
export interface ArrivalSource {
  /** When the next request arrives; Infinity when none is due. */
  readonly nextNs: number;
  /** Takes the request that is due. @returns the client who sent it, or NOBODY where clients have no identity */
  take(): number;
  /** The reply to a client's request has left. */
  replied(client: number, nowNs: number): void;
}

/** @param service names the streams of randomness: what one service draws never shifts another's requests */
export function createArrivalSource(
  arrivals: Arrivals,
  trace: LoadTrace | undefined,
  seed: number,
  service: string,
): ArrivalSource {
  const problem = trace === undefined ? undefined : traceProblemOf(trace);
  if (problem !== undefined)
    throw new RangeError(`cannot load service ${service} with the trace ${trace?.name}: ${problem}`);
  const cursor = new TraceCursor(trace ?? constantTrace(1), new Random(seed, `trace of ${service}`));
  const random = new Random(seed, `arrivals of ${service}`);
  switch (arrivals.kind) {
    case 'poisson':
      return renewal({ kind: 'exponential', meanNs: NS_PER_S / arrivals.ratePerS });
    case 'regular':
      return renewal({ kind: 'deterministic', meanNs: NS_PER_S / arrivals.ratePerS });
    case 'renewal':
      return renewal(arrivals.gaps);
    case 'replay':
      return new OpenArrivals(new RecordedGaps(arrivals.arrivalsNs), cursor);
    case 'closed':
      return new ClosedArrivals(arrivals.clients, new SampleStream(arrivals.thinkTime, random), cursor);
  }

  function renewal(gaps: Distribution): ArrivalSource {
    return new OpenArrivals(new SampleStream(gaps, random), cursor);
  }
}

interface Gaps {
  next(): number;
}

/** Clients that do not wait: gaps as they are at load 1, stretched and squeezed by the trace. Exact within each piece of it. */
class OpenArrivals implements ArrivalSource {
  nextNs = 0;
  declare private readonly gaps: Gaps;
  declare private readonly cursor: TraceCursor;

  constructor(gaps: Gaps, cursor: TraceCursor) {
    this.gaps = gaps;
    this.cursor = cursor;
    this.take();
  }

  take(): number {
    const cursor = this.cursor;
    let gapNs = this.gaps.next();
    let fromNs = this.nextNs;
    let nextNs = fromNs + gapNs / cursor.multiplier;
    // Not reached within this piece of the trace: take what of the gap passes in it, and go on in the next.
    while (!(nextNs <= cursor.untilNs)) {
      if (gapNs === Infinity || cursor.untilNs === Infinity) {
        this.nextNs = Infinity;
        return NOBODY;
      }
      gapNs -= (cursor.untilNs - fromNs) * cursor.multiplier;
      fromNs = cursor.untilNs;
      cursor.advance();
      nextNs = fromNs + gapNs / cursor.multiplier;
    }
    this.nextNs = nextNs;
    return NOBODY;
  }

  replied(): void {
    // Nobody waits for the reply.
  }
}

class RecordedGaps implements Gaps {
  declare private readonly arrivalsNs: ArrayLike<number>;
  private index = 0;

  constructor(arrivalsNs: ArrayLike<number>) {
    this.arrivalsNs = arrivalsNs;
  }

  next(): number {
    if (this.index === this.arrivalsNs.length) return Infinity;
    const previousNs = this.index === 0 ? 0 : this.arrivalsNs[this.index - 1]!;
    return this.arrivalsNs[this.index++]! - previousNs;
  }
}

/** Think times are divided by the load as it is when the thinking begins: a load of 0 thinks until the load comes back. */
class ClosedArrivals implements ArrivalSource {
  declare private readonly thinking: EventTree;
  declare private readonly thinkTimes: SampleStream;
  declare private readonly cursor: TraceCursor;

  constructor(clients: number, thinkTimes: SampleStream, cursor: TraceCursor) {
    this.thinking = new EventTree(clients);
    this.thinkTimes = thinkTimes;
    this.cursor = cursor;
    for (let client = 0; client < clients; client++) this.replied(client, 0);
  }

  get nextNs(): number {
    return this.thinking.nextNs;
  }

  take(): number {
    const client = this.thinking.next;
    this.thinking.timesNs[client] = Infinity;
    this.thinking.update(client);
    return client;
  }

  replied(client: number, nowNs: number): void {
    const cursor = this.cursor;
    while (cursor.untilNs <= nowNs) cursor.advance();
    const thinkNs = this.thinkTimes.next();
    const startNs = cursor.multiplier === 0 ? cursor.untilNs : nowNs;
    const speed = cursor.multiplier === 0 ? 1 : cursor.multiplier;
    this.thinking.timesNs[client] = startNs + thinkNs / speed;
    this.thinking.update(client);
  }
}
