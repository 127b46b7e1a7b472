import type { SecondarySignals } from '../core/sensor.ts';
import { type BpfObject, type MappedMemory, variableOffset } from '../native/libbpf.ts';
import { GAP_UNIT_NS, SECONDARY } from './layout.ts';
import { waitingCalls } from './waiting-calls.ts';

const ATTACHED = ['wait_begins', 'call_ends'] as const;
const WALK = 'walk_threads';

/** Before an object is loaded: whether it has what secondary signals take. @throws NativeError */
export function chooseSecondary(object: BpfObject, on: boolean): void {
  object.setRodata('secondary_signals', new Uint8Array([Number(on)]));
  object.setRodata('waiting_calls', waitingCalls(process.arch));
  object.map('serving_threads').setAutocreate(on);
  for (const program of [...ATTACHED, WALK]) object.setAutoload(program, on);
}

/** Reads the secondary signals of all targets, a window at a time. A read walks over all threads of the machine. */
export class SecondaryReader {
  readonly #object: BpfObject;
  readonly #figures: BigUint64Array;
  #before: BigUint64Array;

  /** Attaches the probes. @param memory the object's .bss; @throws NativeError */
  constructor(object: BpfObject, memory: MappedMemory) {
    const { offset, size } = variableOffset(object.map('.bss'), 'secondary');
    this.#object = object;
    this.#figures = new BigUint64Array(memory.buffer, offset, size / 8);
    this.#before = this.#figures.slice();
    for (const program of ATTACHED) object.attach(program);
  }

  /** @returns by target index, as many as there can be. @throws NativeError */
  read(targets: number): readonly SecondarySignals[] {
    this.#object.iterate(WALK);
    const now = this.#figures.slice();
    const before = this.#before;
    this.#before = now;
    return Array.from({ length: targets }, (_, target) => {
      // The sums wrap, their differences do not.
      const since = (word: number) => {
        const at = target * SECONDARY.words + word;
        return Number(BigInt.asUintN(64, now[at]! - before[at]!));
      };
      return {
        threadNs: since(SECONDARY.threadNs),
        waitedNs: since(SECONDARY.waitedNs),
        gaps: since(SECONDARY.gaps),
        gapSumNs: since(SECONDARY.gapSum) * GAP_UNIT_NS,
        gapSquareSumNs2: since(SECONDARY.gapSquareSum) * GAP_UNIT_NS ** 2,
      };
    });
  }
}
