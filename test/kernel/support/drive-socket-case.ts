import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OpenedSensor, openSensor } from '../../../src/sensor/open-sensor.ts';
import type { MethodChoice } from '../../../src/sensor/probe-methods.ts';
import { CASES_EXTEND_GAP_NS, type SocketCase, type Step } from './socket-cases.ts';

export interface DrivenCase {
  /** By which it was measured. */
  readonly methods: readonly string[];
  readonly steps: readonly Step[];
}

/** One case from its servers' start to their end. */
export async function driveSocketCase(
  { drive }: SocketCase,
  objectDirectory: string,
  method: MethodChoice,
): Promise<DrivenCase> {
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-case-'));
  const cleanups: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
  const opened: OpenedSensor[] = [];
  try {
    const steps = await drive({
      open: (place) => {
        const targets = [{ name: 'server', ...place }];
        const sensor = openSensor({ targets, method, extendGapNs: CASES_EXTEND_GAP_NS, objectDirectory });
        opened.push(sensor);
        cleanups.push(() => sensor.close());
        return sensor;
      },
      directory,
      cleanups,
    });
    return { methods: opened.map((sensor) => sensor.method), steps };
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}
