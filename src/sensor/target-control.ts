import type { MappedMemory } from '../native/libbpf.ts';
import { ALARM_BITS, CONTROL } from './layout.ts';
import type { TargetSpec } from './target-spec.ts';
import type { AlarmKind, Health } from '../core/sensor.ts';

/** What we ask of the probes for one target, in memory that they read: struct target_control. */
export class TargetControl {
  readonly #longs: BigUint64Array;
  readonly #words: Uint32Array;
  #alwaysArmed: readonly AlarmKind[] = [];
  #wantsAlarms = false;

  constructor(memory: MappedMemory, offset: number, target: TargetSpec) {
    this.#longs = new BigUint64Array(memory.buffer, offset, CONTROL.bytes / 8);
    this.#words = new Uint32Array(memory.buffer, offset, CONTROL.bytes / 4);
    this.aim(target);
  }

  /** The objective and the alarms that are asked for from now on; the probes read them at each request. */
  aim({ sloLatencyNs, alarm }: TargetSpec): void {
    this.#longs[CONTROL.sloNs / 8] = BigInt(Math.round(sloLatencyNs ?? 0));
    this.#longs[CONTROL.waitBudgetNs / 8] = BigInt(Math.round(alarm?.waitBudgetNs ?? 0));
    this.#words[CONTROL.lateBudget / 4] = alarm?.lateBudget ?? 0;
    this.#wantsAlarms = alarm !== undefined;
    this.#alwaysArmed = sloLatencyNs === undefined ? ['waiting'] : ['late', 'waiting'];
    if (alarm === undefined) this.#words[CONTROL.armed / 4] = 0;
  }

  /** `waiting` may come once more before the window ends. */
  rearm(): void {
    if (this.#wantsAlarms) Atomics.or(this.#words, CONTROL.armed / 4, ALARM_BITS.waiting);
  }

  /** A new window begins: each kind of alarm may come once in it. */
  arm(health: Health): void {
    if (!this.#wantsAlarms) return;
    const kinds: readonly AlarmKind[] =
      health === 'idle' ? [...this.#alwaysArmed, 'arrival-after-idle'] : this.#alwaysArmed;
    this.#words[CONTROL.late / 4] = 0;
    this.#words[CONTROL.armed / 4] = kinds.reduce((bits, kind) => bits | ALARM_BITS[kind], 0);
  }

  /** The kind does not come in this window any more. */
  disarm(kind: AlarmKind): void {
    // The probes take bits away meanwhile.
    Atomics.and(this.#words, CONTROL.armed / 4, ~ALARM_BITS[kind]);
  }
}
