import { setTimeout as sleep } from 'node:timers/promises';
import type { Sensor, Snapshot } from '../../../src/core/sensor.ts';
import { mergeSnapshots } from '../../../src/sensor/merge-snapshots.ts';

const PATIENCE_MS = 10_000;
const QUIET_MS = 60;

/** What was counted, in plain numbers: of the snapshot's unit, and what it tells of HTTP/2. */
const countsOf = ({ unit, arrivals, requests, overSlo, abandoned, dropped, inFlight, http2 }: Snapshot) => ({
  ...{ unit, arrivals, requests, overSlo, abandoned, dropped, inFlight },
  streaming: http2?.streaming ?? 0,
  streamConnections: http2?.streamConnections ?? 0,
  turnConnections: http2?.turnConnections ?? 0,
  lostConnections: http2?.lostConnections ?? 0,
  firstResponses: http2?.firstResponse.count ?? 0,
  others: http2?.otherUnit.requests ?? 0,
});
export type Counts = ReturnType<typeof countsOf>;

/** All windows of a sensor's first target, as one. */
export class WholeRun {
  readonly #sensor: Sensor;
  snapshot: Snapshot;

  constructor(sensor: Sensor) {
    this.#sensor = sensor;
    this.snapshot = sensor.read()[0]!;
  }

  read(): Counts {
    this.snapshot = mergeSnapshots(this.snapshot, this.#sensor.read()[0]!);
    return countsOf(this.snapshot);
  }

  /** Reads until the counts are as expected, and then for a while longer, for more may come than should. */
  async settle(expected: Partial<Counts>): Promise<Partial<Counts>> {
    const deadline = performance.now() + PATIENCE_MS;
    const names = Object.keys(expected) as (keyof Counts)[];
    let counts = this.read();
    while (names.some((name) => counts[name] !== expected[name]) && performance.now() < deadline) {
      await sleep(5);
      counts = this.read();
    }
    await sleep(QUIET_MS);
    counts = this.read();
    return Object.fromEntries(names.map((name) => [name, counts[name]]));
  }
}
