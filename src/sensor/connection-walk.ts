import type { Clock } from '../core/clock.ts';
import { NS_PER_S } from '../core/units.ts';
import type { BpfObject, MappedMemory } from '../native/libbpf.ts';
import { variableOffset } from '../native/libbpf.ts';
import { WALK_RESULT } from './layout.ts';
import type { Walk } from './probe-methods.ts';

/** What the last walk found of one target. */
export interface InFlight {
  readonly inFlight: number;
  /** The age of the oldest of them at the walk; 0 where none is in flight. */
  readonly oldestNs: number;
  /** Whose state is kept, with a turn in flight or not. */
  readonly connections: number;
}

/** A walk takes time for each connection. It may take this share of ours, but is made once a second whatever it takes. */
const SHARE_OF_TIME = 0.01;
const AT_LEAST_EVERY_NS = NS_PER_S;

/** Looks at every connection's state for what no cumulative figure tells: when the oldest turn in flight arrived. */
export class ConnectionWalk {
  readonly #object: BpfObject;
  readonly #walks: readonly Walk[];
  readonly #clock: Clock;
  readonly #results: BigUint64Array;
  #endedNs: bigint | undefined;
  #tookNs = 0;

  /**
   * @param walks which together see all that may be in flight
   * @param memory the object's .bss, writable
   */
  constructor(object: BpfObject, walks: readonly Walk[], memory: MappedMemory, clock: Clock) {
    const { offset, size } = variableOffset(object.map('.bss'), 'walk_results');
    this.#object = object;
    this.#walks = walks;
    this.#clock = clock;
    this.#results = new BigUint64Array(memory.buffer, offset, size / 8);
  }

  isDue(nowNs: bigint): boolean {
    if (this.#endedNs === undefined) return true;
    return Number(nowNs - this.#endedNs) >= Math.min(AT_LEAST_EVERY_NS, this.#tookNs / SHARE_OF_TIME);
  }

  /** @throws NativeError */
  walk(): void {
    const startNs = this.#clock.monotonicNs();
    this.#results.fill(0n);
    for (const { program, map } of this.#walks) {
      this.#object.iterate(program, map === undefined ? undefined : this.#object.map(map));
    }
    this.#endedNs = this.#clock.monotonicNs();
    this.#tookNs = Number(this.#endedNs - startNs);
  }

  /** @param target its index */
  found(target: number): InFlight {
    const at = (target * WALK_RESULT.bytes) / 8;
    const arrivalNs = this.#results[at + WALK_RESULT.oldestArrivalNs / 8]!;
    const inFlight = Number(this.#results[at + WALK_RESULT.inFlight / 8]!);
    const connections = Number(this.#results[at + WALK_RESULT.connections / 8]!);
    if (arrivalNs === 0n || this.#endedNs === undefined) return { inFlight, oldestNs: 0, connections };
    return { inFlight, oldestNs: Math.max(0, Number(this.#endedNs - arrivalNs)), connections };
  }
}
