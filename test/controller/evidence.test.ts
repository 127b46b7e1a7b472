import { describe, expect, it } from 'vitest';
import { busyShare, certainShare, logLevelChange, urgencyOf } from '../../src/controller/evidence.ts';
import { NS_PER_MS } from '../../src/core/units.ts';
import { input, observation, SLO } from './observation.ts';

describe('certainShare()', () => {
  it('asks for more room the fewer requests were seen', () => {
    const shares = [0, 5, 50, 299].map((requests) => certainShare(observation({ requests }), SLO, 0.95));
    expect(shares[0]).toBeCloseTo(0, 12);
    expect(shares[1]).toBeCloseTo(0.17, 2);
    expect(shares[2]).toBeCloseTo(0.62, 2);
    expect(shares[3]).toBe(1);
  });

  it('is 0 while more requests are slow than the SLO tolerates', () => {
    expect(certainShare(observation({ requests: 300, overSlo: 4 }), SLO, 0.5)).toBe(0);
  });
});

describe('busyShare()', () => {
  it('takes the wait share where utilisation is not known or lower', () => {
    expect(busyShare(observation({ utilization: null, socketWaitNs: 3, handlingTimeNs: 1 }))).toBe(0.75);
    expect(busyShare(observation({ utilization: 0.2, socketWaitNs: 3, handlingTimeNs: 1 }))).toBe(0.75);
    expect(busyShare(observation({ utilization: 0.9, socketWaitNs: 3, handlingTimeNs: 1 }))).toBe(0.9);
  });

  it('assumes the middle where nothing tells', () => {
    expect(busyShare(observation({ utilization: null, socketWaitNs: null, handlingTimeNs: null }))).toBe(0.5);
  });
});

describe('logLevelChange()', () => {
  it('takes an M/M/1 queue from its latency to the target in one step', () => {
    const load = 0.4;
    const quantileNs = (level: number) => 1e6 / (level - load);
    const level = 0.6;
    const target = quantileNs(0.75);
    const next = level * Math.exp(logLevelChange(quantileNs(level) / target, load / level));
    expect(next).toBeCloseTo(0.75, 9);
  });

  it('never asks for less than the load', () => {
    expect(Math.exp(logLevelChange(0, 0.5)) * 0.8).toBeCloseTo(0.4, 9);
  });

  it('still steps at full utilisation, where the model would not', () => {
    expect(logLevelChange(2, 1)).toBeGreaterThan(0.1);
  });
});

describe('urgencyOf()', () => {
  const latest = { windowMs: 100, arrivals: 30, requests: 30, overSlo: 0, quantileNs: 10 * NS_PER_MS };

  it('leaves a quiet service alone', () => {
    expect(urgencyOf(input(), 0.8)).toBeNull();
  });

  it('does not take one slow request of thirty for a burst', () => {
    expect(urgencyOf(input({ latest: { ...latest, overSlo: 1 } }), 0.8)).toBeNull();
  });

  it('takes ten slow requests of thirty for a burst', () => {
    const urgency = urgencyOf(input({ latest: { ...latest, overSlo: 10, quantileNs: 60 * NS_PER_MS } }), 0.8);
    expect(urgency?.factor).toBeGreaterThan(1.2);
    expect(urgency?.why).toBe('10 of the last 30 over the SLO');
  });

  it('needs fewer of them when the kernel has raised the alarm', () => {
    const few = { ...latest, overSlo: 3, quantileNs: 30 * NS_PER_MS };
    expect(urgencyOf(input({ latest: few }), 0.8)).toBeNull();
    expect(urgencyOf(input({ latest: few, alarmed: true }), 0.8)).not.toBeNull();
  });

  it('sees a queue that will be late before any of it has completed', () => {
    // Half busy at 300 a second: 1.7 ms each, so 60 in flight are 100 ms of work.
    const urgency = urgencyOf(input({ inFlight: 60 }), 0.8);
    expect(urgency?.factor).toBeCloseTo(100 / 16, 1);
    expect(urgency?.why).toBe('60 in flight');
  });

  it('takes many in flight for no queue where the service is hardly busy', () => {
    expect(urgencyOf(input({ inFlight: 60, utilization: 0.02, socketWaitNs: 0, handlingTimeNs: 1e8 }), 0.8)).toBeNull();
  });

  it('does not raise for the alarm of a first arrival', () => {
    const alone = { windowMs: 5, arrivals: 1, requests: 0, overSlo: 0, quantileNs: null };
    expect(urgencyOf(input({ alarmed: true, inFlight: 1, latest: alone }), 0.8)).toBeNull();
  });
});
