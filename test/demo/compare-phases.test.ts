import { describe, expect, test } from 'vitest';
import { caveats, comparisonRows, judge } from '../../src/demo/compare-phases.ts';
import { phaseSummary } from './fixtures.ts';

const latency = (p99Ms: number) => ({ count: 1000, p50Ms: 2, p99Ms, overSloRatio: 0.02 });
const baseline = phaseSummary({ name: 'performance', energyJ: 100 });
const governed = (energyJ: number, sensorMs: number, clientMs: number) =>
  phaseSummary({ name: 'pid', energyJ, sensor: latency(sensorMs), clientFromDue: latency(clientMs) });

describe('judge()', () => {
  test('is good when energy was saved within the SLO', () => {
    expect(judge(baseline, governed(70, 15, 16))).toEqual({
      tone: 'good',
      text: 'pid saved 30.0 % of the modelled energy that performance used; p99 was 15.0 ms by the sensor and 16.0 ms by the client, within the SLO of 20.0 ms.',
    });
  });

  test('says as plainly that nothing was saved', () => {
    const verdict = judge(baseline, governed(104, 15, 16));
    expect(verdict.tone).toBe('mixed');
    expect(verdict.text).toMatch(/^pid saved nothing: it used 4\.0 % more modelled energy than performance;/);
  });

  test('is bad when the SLO was missed, whatever was saved', () => {
    const verdict = judge(baseline, governed(50, 25, 26));
    expect(verdict.tone).toBe('bad');
    expect(verdict.text).toContain('over the SLO of 20.0 ms.');
    expect(verdict.text).not.toContain('too');
  });

  test('says when sensor and client disagree', () => {
    const verdict = judge(baseline, governed(50, 19, 21));
    expect(verdict.tone).toBe('bad');
    expect(verdict.text).toContain("within the SLO of 20.0 ms by the sensor's account but over it by the client's");
  });

  test('says when the baseline missed it, too', () => {
    const overwhelmed = phaseSummary({ name: 'performance', sensor: latency(30), clientFromDue: latency(31) });
    expect(judge(overwhelmed, governed(50, 25, 26)).text).toContain(
      'performance missed it, too (30.0 ms by the sensor',
    );
  });
});

describe('comparisonRows()', () => {
  test('shows both runs and their difference, and labels what is modelled', () => {
    const rows = comparisonRows(baseline, governed(70, 15, 16));
    expect(rows.every((row) => row.length === 4)).toBe(true);
    expect(rows[0]).toEqual(['energy, modelled', '100.0 J', '70.0 J', '−30.0 %']);
    for (const [label] of rows.filter(([name]) => /energy|power/.test(name!))) expect(label).toContain('modelled');
  });
});

describe('caveats()', () => {
  test('always says how few samples a p99 rests on', () => {
    expect(caveats(baseline, governed(70, 15, 16))).toEqual([expect.stringContaining('the 10 slowest requests')]);
  });

  test('says what disturbed the runs', () => {
    const disturbed = phaseSummary({
      name: 'pid',
      unanswered: 2,
      notRestored: ['scaling_governor: was powersave, is performance'],
      requests: 997,
      cpuWaitRatio: 0.12,
      meanFrequencyKhz: 1_900_000,
      meanAppliedKhz: 4_700_000,
      clientLate: { p50Ms: 1, p99Ms: 12 },
    });
    const notes = caveats(baseline, disturbed).join('\n');
    expect(notes).toContain('pid: 2 requests got no reply');
    expect(notes).toContain('the sensor counted 997 requests, the client 1000 replies');
    expect(notes).toContain('12.0 % of the run the server was ready and had no CPU');
    expect(notes).toContain('pid: not as before when the daemon had ended: scaling_governor: was');
    expect(notes).toContain('the silicon ran at 1.90 GHz in the mean, the governor had applied 4.70 GHz');
    expect(notes).toContain('the client itself was late by 12.0 ms');
  });
});
