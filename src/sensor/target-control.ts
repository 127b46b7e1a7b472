import { type AlarmBudget, alarmCounts, type SeenBefore } from '../core/alarm-budget.ts';
import type { AlarmKind, Health } from '../core/sensor.ts';
import type { MappedMemory } from '../native/libbpf.ts';
import { ALARM_BITS, CONTROL } from './layout.ts';
import type { TargetSpec } from './target-spec.ts';

/** Before anything was seen it takes the least. */
const NOTHING_SEEN: SeenBefore = { requests: 0, windowNs: 0 };
const MAX_U32 = 2 ** 32 - 1;

/** What we ask of the probes for one target, in memory that they read: struct target_control. */
export class TargetControl {
  readonly #longs: BigUint64Array;
  readonly #words: Uint32Array;
  #alwaysArmed: readonly AlarmKind[] = [];
  /** Absent where no alarms are wanted. */
  #budget: AlarmBudget | undefined;

  constructor(memory: Pick<MappedMemory, 'buffer'>, offset: number, target: TargetSpec) {
    this.#longs = new BigUint64Array(memory.buffer, offset, CONTROL.bytes / 8);
    this.#words = new Uint32Array(memory.buffer, offset, CONTROL.bytes / 4);
    this.aim(target);
  }

  /** The objective and the alarms that are asked for from now on; the probes read them at each request. */
  aim({ sloLatencyNs, alarm }: TargetSpec): void {
    // First, or budgets of none would raise alarms that nobody asked for.
    if (alarm === undefined) this.#words[CONTROL.armed / 4] = 0;
    this.#longs[CONTROL.sloNs / 8] = BigInt(Math.round(sloLatencyNs ?? 0));
    this.#longs[CONTROL.waitBudgetNs / 8] = BigInt(Math.round(alarm?.waitBudgetNs ?? 0));
    this.#budget = alarm;
    if (alarm !== undefined) this.#allow(alarm, NOTHING_SEEN);
    this.#alwaysArmed = sloLatencyNs === undefined ? ['waiting'] : ['late', 'waiting'];
  }

  /** `waiting` may come once more before the window ends. */
  rearm(): void {
    if (this.#budget === undefined) return;
    this.#words[CONTROL.waiting / 4] = 0;
    Atomics.or(this.#words, CONTROL.armed / 4, ALARM_BITS.waiting);
  }

  /** A new window begins: each kind of alarm may come once in it, by budgets that follow from what was seen `before` it. */
  arm(health: Health, before: SeenBefore): void {
    if (this.#budget === undefined) return;
    const kinds: readonly AlarmKind[] =
      health === 'idle' ? [...this.#alwaysArmed, 'arrival-after-idle'] : this.#alwaysArmed;
    this.#words[CONTROL.late / 4] = 0;
    this.#words[CONTROL.waiting / 4] = 0;
    this.#allow(this.#budget, before);
    this.#words[CONTROL.armed / 4] = kinds.reduce((bits, kind) => bits | ALARM_BITS[kind], 0);
  }

  /** The kind does not come in this window any more. */
  disarm(kind: AlarmKind): void {
    // The probes take bits away meanwhile.
    Atomics.and(this.#words, CONTROL.armed / 4, ~ALARM_BITS[kind]);
  }

  #allow(budget: AlarmBudget, before: SeenBefore): void {
    const { late, waiting } = alarmCounts(budget, before);
    this.#words[CONTROL.lateBudget / 4] = Math.min(late, MAX_U32);
    this.#words[CONTROL.waitingBudget / 4] = Math.min(waiting, MAX_U32);
  }
}
