import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AppliedCpus } from '../../src/core/actuator.ts';
import { cpuId } from '../../src/core/units.ts';
import { unitFigures } from '../../src/sensor/figures-by-unit.ts';
import { DaemonMetrics } from '../../src/telemetry/metrics.ts';
import { IDENTITY, STATUS, tickOf, windowOf } from './metrics-support.ts';

const text = readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8');

/** Everything that a daemon can tell. */
function families() {
  const metrics = new DaemonMetrics({
    version: '1',
    mode: 'govern',
    startedAtMs: 0,
    policyOf: () => ({ policy: 'pid.yaml', controller: 'pid' }),
  });
  metrics.identify(IDENTITY);
  const { report, times } = tickOf([
    {
      ...windowOf([1]),
      http2: {
        ...{ turnConnections: 1, streamConnections: 1, lostConnections: 0, streaming: 0 },
        firstResponse: windowOf([1]).latency,
        otherUnit: unitFigures('stream', windowOf([1])),
      },
    },
  ]);
  const disturbanceCounts = { 'foreign-writer': 0, limit: 0, failure: 0, machine: 0 };
  const cpus = report.services.map(({ service }): AppliedCpus => {
    const two = [cpuId(0), cpuId(1)];
    return { service, method: 'unit', askedCpus: two, appliedCpus: two, outcome: 'applied' };
  });
  metrics.tick({ ...report, applied: { ...report.applied, cpus, disturbances: [], disturbanceCounts } }, 0, times, 0);
  return metrics.families(STATUS, {
    origin: { source: 'modelled', model: 'a model' },
    energy: { joules: 1, atMs: 0 },
    watts: 1,
  });
}

describe('docs/metrics.md', () => {
  it('describes every metric with its type, its labels and the help that Prometheus shows, and no other', () => {
    const rows = text
      .slice(text.indexOf('## All metrics'))
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
    const wanted = families().map(({ name, type, help, samples }) => {
      const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels ?? {})));
      labels.delete('le');
      return [`\`${name}\``, type, [...labels].join(', '), help];
    });
    expect(rows).toEqual(wanted);
  });

  it('asks in its queries for metrics that there are', () => {
    const names = families().map(({ name }) => name);
    const asked = [...text.matchAll(/\b(?:tailgov|process)_[a-z_]+/g)].map(([name]) => name);
    const base = (name: string) => name.replace(/_(bucket|sum|count)$/, '');
    expect(asked.filter((name) => !names.includes(name) && !names.includes(base(name)))).toEqual([]);
  });

  it('states how many series there are, about', () => {
    const samples = families().flatMap((family) => family.samples);
    const of = (label: string) => samples.filter(({ labels }) => labels?.[label] !== undefined).length;
    const [, perService, rest] = /service has about (\d+) series, a frequency domain four, the rest about (\d+)/.exec(
      text,
    )!;
    expect(of('domain')).toBe(4);
    expect(Math.abs(of('service') - Number(perService))).toBeLessThan(15);
    expect(Math.abs(samples.length - of('service') - 4 - Number(rest))).toBeLessThan(15);
  });
});
