import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DEMO_POWER_MODEL, DEFAULT_SLO_MS, windowMsFor } from '../../src/demo/demo-settings.ts';
import { demoSchedule, policyName } from '../../src/demo/run-demo.ts';
import { simulatePhase } from '../../src/demo/simulate-phase.ts';
import { summarizePhase } from '../../src/demo/summarize-phase.ts';

const DURATION_MS = 30_000;
const policy = (name: string) => fileURLToPath(new URL(`../../policies/${name}.yaml`, import.meta.url));

async function run(name: string, changes: { readonly speed?: number; readonly signal?: AbortSignal } = {}) {
  const elapsedMs: number[] = [];
  const record = await simulatePhase({
    name: policyName(policy(name)),
    policyFile: policy(name),
    sloMs: DEFAULT_SLO_MS,
    durationMs: DURATION_MS,
    windowMs: windowMsFor(DURATION_MS),
    schedule: demoSchedule(1, DURATION_MS),
    speed: 1e6,
    signal: new AbortController().signal,
    onProgress: (progress) => elapsedMs.push(progress.elapsedMs),
    ...changes,
  });
  return { record, elapsedMs, summary: summarizePhase(record, DEFAULT_SLO_MS, DEMO_POWER_MODEL) };
}

describe('simulatePhase()', () => {
  it('answers every request of the schedule, and tells of all of them in its windows', async () => {
    const { record, summary, elapsedMs } = await run('performance');
    expect(record.load.latencyMs.every((ms) => ms > 0)).toBe(true);
    expect(record.windows.reduce((sum, { requests }) => sum + requests, 0)).toBe(record.schedule.dueMs.length);
    expect(summary).toMatchObject({ simulated: true, requests: record.schedule.dueMs.length, unanswered: 0 });
    // The sensor's quantile comes from buckets, the client's from the times themselves.
    expect(summary.sensor.p99Ms / summary.clientFromDue.p99Ms).toBeCloseTo(1, 1);
    expect(elapsedMs).toEqual(elapsedMs.toSorted((a, b) => a - b));
  });

  it('keeps the core at full speed under performance, and its book agrees with the power model', async () => {
    const { summary } = await run('performance');
    expect(summary.meanFrequencyKhz).toBe(4_700_000);
    expect(summary.frequencyChanges).toBe(0);
    expect(summary.busyRatio).toBeGreaterThan(0.2);
    expect(summary.busyRatio).toBeLessThan(0.5);
  });

  it('lets pid slow the core and save energy, and is the same in every run', async () => {
    const [first, again, full] = [await run('pid'), await run('pid'), await run('performance')];
    expect(first.summary.energyJ).toBeLessThan(0.9 * full.summary.energyJ);
    expect(first.summary.frequencyChanges).toBeGreaterThan(3);
    expect(again.record.load.latencyMs).toEqual(first.record.load.latencyMs);
  });

  it('ends when it is told to', async () => {
    const stop = new AbortController();
    const running = run('performance', { speed: 1, signal: stop.signal });
    stop.abort(new Error('stopped'));
    await expect(running).rejects.toThrow('stopped');
  });
});
