import type { Clock } from '../core/clock.ts';
import type { Disturbance, DisturbanceKind } from '../core/actuator.ts';
import { NS_PER_S } from '../core/units.ts';

export type ActuatorLog = (level: 'info' | 'warn', message: string) => void;

/** What comes back within this time is counted, and not logged again. */
const QUIET_NS = BigInt(600 * NS_PER_S);

const NONE: readonly Disturbance[] = [];

/** What disturbs at present; each is logged when it begins and ends, and counted whenever it happens. */
export class Disturbances {
  readonly #clock: Clock;
  readonly #log: ActuatorLog;
  readonly #present = new Map<string, Disturbance & { readonly logged: boolean }>();
  readonly #loggedAtNs = new Map<string, bigint>();
  readonly #counts: Record<DisturbanceKind, number> = { 'foreign-writer': 0, limit: 0, failure: 0, machine: 0 };

  constructor(clock: Clock, log: ActuatorLog) {
    this.#clock = clock;
    this.#log = log;
  }

  /** @param again whether it counts though it is present already: a second write, not a state that goes on */
  begin(kind: DisturbanceKind, control: string, detail: string, again = true): void {
    const key = keyOf(kind, control);
    const before = this.#present.get(key);
    if (before === undefined || again) this.#counts[kind] += 1;
    const nowNs = this.#clock.monotonicNs();
    const loggedAtNs = this.#loggedAtNs.get(key);
    const quiet = loggedAtNs !== undefined && nowNs - loggedAtNs < QUIET_NS;
    const logged = before?.logged ?? !quiet;
    this.#present.set(key, { kind, control, detail, logged });
    if (before !== undefined || quiet) return;
    this.#loggedAtNs.set(key, nowNs);
    this.#log('warn', `${control}: ${detail}`);
  }

  end(kind: DisturbanceKind, control: string): void {
    if (this.#present.size === 0) return;
    const key = keyOf(kind, control);
    const present = this.#present.get(key);
    if (present === undefined) return;
    this.#present.delete(key);
    if (present.logged) this.#log('info', `${control}: as it should be again`);
  }

  /** Those of everything below a directory, of which there is nothing to say any more. */
  forget(directory: string): void {
    for (const [key, { control }] of this.#present) if (control.startsWith(`${directory}/`)) this.#present.delete(key);
  }

  has(kind: DisturbanceKind, control: string): boolean {
    return this.#present.size > 0 && this.#present.has(keyOf(kind, control));
  }

  get present(): readonly Disturbance[] {
    if (this.#present.size === 0) return NONE;
    return [...this.#present.values()].map(({ kind, control, detail }) => ({ kind, control, detail }));
  }

  get counts(): Readonly<Record<DisturbanceKind, number>> {
    return { ...this.#counts };
  }
}

const keyOf = (kind: DisturbanceKind, control: string) => `${kind} ${control}`;
