import { describe, expect, it } from 'vitest';
import type { RecordingEnd } from '../../src/core/recording-format.ts';
import { kiloHertz, NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import { Plant } from '../../src/plant/plant.ts';
import type { Recording } from '../../src/plant/recording.ts';
import { replayOf } from '../../src/plant/replay.ts';
import { plainServer } from './support/servers.ts';

const END: RecordingEnd = {
  atNs: 10 * NS_PER_S,
  cpuTimeNs: 0,
  cpuRequests: 0,
  busiestThreadRatio: null,
  frequencyKhz: null,
  lost: 0,
  reason: 'done',
};

function recording(arrivalsMs: readonly number[], handlingMs: readonly number[], end: RecordingEnd | null): Recording {
  return {
    header: {
      format: 'tailgov-recording',
      version: 1,
      target: 'cache',
      unit: 'turn',
      startedAt: '2026-01-01T00:00:00.000Z',
      frequencyKhz: null,
    },
    arrivalsNs: Float64Array.from(arrivalsMs, (ms) => ms * NS_PER_MS),
    socketWaitsNs: new Float64Array(arrivalsMs.length),
    handlingTimesNs: Float64Array.from(handlingMs, (ms) => ms * NS_PER_MS),
    mark: end,
    end,
  };
}

const HIGHEST_KHZ = 2_000_000;
const replay = (recorded: Recording) => replayOf(recorded, { name: 'cache', highestKhz: HIGHEST_KHZ, sloLatencyNs: 1 });

/** Latencies in ms on one core that runs at a share of its highest frequency. */
function latenciesMs(recorded: Recording, speed = 1): number[] {
  const served: number[] = [];
  const { service } = replay(recorded);
  const server = plainServer(1);
  const plant = new Plant({
    server,
    services: [service],
    seed: 1,
    onCompletion: (_, arrivalNs, __, completionNs) => served.push((completionNs - arrivalNs) / NS_PER_MS),
  });
  plant.requestFrequency(0, speed * HIGHEST_KHZ);
  plant.advanceTo(20 * NS_PER_S);
  return served;
}

describe('replayOf()', () => {
  it('brings every arrival, and takes handling for work on the core where nothing else is known', () => {
    const recorded = recording([1000, 1004, 3000], [4, 4, 7], END);
    expect(latenciesMs(recorded)).toEqual([4, 4, 7]);
    expect(latenciesMs(recorded, 0.5)).toEqual([8, 12, 14]);
    expect(replay(recorded).notes[0]).toContain('CPU time was not measured');
  });

  it('gives one core no more work than the time in which anything was handled, where CPU time is not known', () => {
    // Read together, answered together: two requests in 4 ms of work.
    expect(latenciesMs(recording([1000, 1000, 3000], [4, 4, 4], END), 0.5)[2]).toBeCloseTo(4 * (2 / 3) * 2 + 4 / 3);
  });

  it('keeps what was no CPU time off the core, where requests do not queue and frequency does not matter', () => {
    const quarter = { ...END, cpuTimeNs: 3 * NS_PER_MS, cpuRequests: 3 };
    const recorded = recording([1000, 1000, 3000], [4, 4, 4], quarter);
    expect(latenciesMs(recorded)).toEqual([4, 5, 4]);
    expect(latenciesMs(recorded, 0.5)).toEqual([5, 7, 5]);
  });

  it('brings CPU time from the frequency that was measured to the highest of the simulated server', () => {
    const slow = { ...END, cpuTimeNs: 4 * NS_PER_MS, cpuRequests: 1, frequencyKhz: kiloHertz(1_000_000) };
    expect(latenciesMs(recording([1000], [4], slow))).toEqual([2]);
    expect(latenciesMs(recording([1000], [4], slow), 0.5)).toEqual([4]);
    const half = { ...slow, cpuTimeNs: 2 * NS_PER_MS };
    expect(latenciesMs(recording([1000], [4], half), 0.5)).toEqual([4]);
  });

  it('counts the threads that served', () => {
    const busy = { ...END, cpuTimeNs: 10 * NS_PER_S, cpuRequests: 2, busiestThreadRatio: 0.25 };
    expect(replay(recording([1, 2], [1, 1], busy)).workers).toBe(4);
    expect(replay(recording([1, 2], [1, 1], END)).workers).toBe(1);
  });

  it('says where requests of two units are together', () => {
    const notes = (turn: number, stream: number) =>
      replay(recording([0], [1], { ...END, units: { turn, stream } })).notes.join(' ');
    expect(notes(3, 40)).toContain('40 were streams of HTTP/2, and 3 whole turns');
    expect(notes(0, 40)).not.toContain('streams');
  });

  it('says what is missing', () => {
    expect(replay(recording([1], [1], null)).notes[0]).toContain('cut off: its 1 whole lines');
    expect(replay(recording([1], [1], { ...END, reason: 'limit', lost: 3 })).notes.slice(0, 2)).toEqual([
      'The recording ended at the size that it was allowed.',
      '3 requests are missing, for there was no room for them: the real load was higher.',
    ]);
    expect(() => replay(recording([], [], END))).toThrow('without requests');
  });
});
