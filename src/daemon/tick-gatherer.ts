import type { Clock } from '../core/clock.ts';
import { lastOf } from '../core/last-of.ts';
import type { Snapshot } from '../core/sensor.ts';
import type { TickReport } from '../core/tick-report.ts';
import { addWindow, noTimes, type ServiceTimes, timesMessage } from '../telemetry/metrics-times.ts';
import type { TicksMessage } from './loop-messages.ts';

const SECOND_MS = 1000;

/**
 * Holds ticks back in the loop's thread, those of one second of the wall clock, and hands them over in one go: what it takes
 * to wake the main thread and to tell it a tick is more than the tick itself. What went wrong is handed over at once.
 */
export class TickGatherer {
  readonly #clock: Clock;
  readonly #post: (message: TicksMessage) => void;
  #ticks: TicksMessage['ticks'][number][] = [];
  /** Of the ticks that are held back. */
  #services: readonly string[] = [];
  /** Of the services, in the order of the reports. */
  #times: ServiceTimes[] = [];
  readonly #asked = lastOf((asked: TickReport['asked']) => JSON.stringify(asked));
  readonly #applied = lastOf((applied: TickReport['applied']) => JSON.stringify(applied));

  constructor(clock: Clock, post: (message: TicksMessage) => void) {
    this.#clock = clock;
    this.#post = post;
  }

  /**
   * @param snapshots in the order of the report's services
   * @param intervalMs when the next tick is to be expected
   */
  add(report: TickReport, missed: number, snapshots: readonly Snapshot[], intervalMs: number): void {
    const wallMs = this.#clock.wallMs();
    const held = this.#ticks[0];
    if (held !== undefined && (secondOf(held.wallMs) !== secondOf(wallMs) || !this.#hasServicesOf(report)))
      this.flush();
    if (this.#ticks.length === 0) this.#services = report.services.map(({ service }) => service);
    // Made into text here: to do it for a second's ticks at once would make one of them late.
    this.#ticks.push({ report: this.#textOf(report), missed, wallMs });
    snapshots.forEach((snapshot, index) => addWindow((this.#times[index] ??= noTimes()), snapshot));
    if (report.faults.length > 0 || secondOf(wallMs + intervalMs) !== secondOf(wallMs)) this.flush();
  }

  flush(): void {
    if (this.#ticks.length === 0) return;
    this.#post({ type: 'ticks', ticks: this.#ticks, times: this.#times.map(timesMessage) });
    this.#ticks = [];
    this.#times = [];
  }

  /** JSON. With a hundred CPUs most of it is what was asked of the machine and applied, which is mostly the same again. */
  #textOf({ asked, applied, ...rest }: TickReport): string {
    const text = JSON.stringify(rest);
    return `${text.slice(0, -1)},"asked":${this.#asked(asked)},"applied":${this.#applied(applied)}}`;
  }

  #hasServicesOf({ services }: TickReport): boolean {
    return (
      services.length === this.#services.length &&
      services.every(({ service }, index) => service === this.#services[index])
    );
  }
}

const secondOf = (wallMs: number) => Math.floor(wallMs / SECOND_MS);
