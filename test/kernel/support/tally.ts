import { setTimeout as sleep } from 'node:timers/promises';
import { Histogram } from '../../../src/core/histogram.ts';
import type { Sensor, Snapshot } from '../../../src/core/sensor.ts';
import type { OpenedSensor } from '../../../src/sensor/open-sensor.ts';

const COUNTS = ['arrivals', 'requests', 'overSlo', 'abandoned', 'unsolicited', 'dropped'] as const;
type Count = (typeof COUNTS)[number];
const HISTOGRAMS = ['latency', 'socketWait', 'handlingTime'] as const;

const PATIENCE_MS = 10_000;
const QUIET_MS = 60;
const WAITING_PATIENCE_MS = 60_000;

/** All that a sensor has said of one of its targets, added up. */
export class Tally {
  readonly #sensor: Sensor;
  readonly #index: number;
  readonly counts: Record<Count, number> = {
    arrivals: 0,
    requests: 0,
    overSlo: 0,
    abandoned: 0,
    unsolicited: 0,
    dropped: 0,
  };
  latency = new Histogram();
  socketWait = new Histogram();
  handlingTime = new Histogram();
  last: Snapshot | undefined;

  /** @param index of the target */
  constructor(sensor: Sensor, index = 0) {
    this.#sensor = sensor;
    this.#index = index;
  }

  read(): Snapshot {
    const snapshot = this.#sensor.read()[this.#index]!;
    for (const count of COUNTS) this.counts[count] += snapshot[count];
    for (const histogram of HISTOGRAMS) this[histogram].add(snapshot[histogram]);
    this.last = snapshot;
    return snapshot;
  }

  /**
   * Reads until the counts are as expected, and then for a while longer, for more may come than should: a reply reaches
   * its client before the probe at the server's send has run.
   * @returns the counts that were named, as they are
   */
  async settle(expected: Partial<Record<Count | 'inFlight', number>>): Promise<typeof expected> {
    const deadline = performance.now() + PATIENCE_MS;
    const names = Object.keys(expected) as (Count | 'inFlight')[];
    const seen = () => Object.fromEntries(names.map((name) => [name, this.#value(name)])) as typeof expected;
    do {
      this.read();
      if (names.every((name) => this.#value(name) === expected[name])) break;
      await sleep(5);
    } while (performance.now() < deadline);
    await sleep(QUIET_MS);
    this.read();
    return seen();
  }

  #value(name: Count | 'inFlight'): number {
    return name === 'inFlight' ? (this.last?.inFlight ?? 0) : this.counts[name];
  }
}

/** Reads, as its user would, until the sensor waits for so many places. What is read goes to the tally. */
export async function untilWaiting(sensor: OpenedSensor, places: number, tally: Tally): Promise<void> {
  const deadline = performance.now() + WAITING_PATIENCE_MS;
  while (sensor.waiting().length !== places) {
    if (performance.now() > deadline) throw new Error(`it waits for ${sensor.waiting().join(', ') || 'nothing'}`);
    tally.read();
    await sleep(50);
  }
}
