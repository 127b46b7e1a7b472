import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { controllers } from '../../src/controller/registry.ts';
import { parseDurationNs } from '../../src/core/units.ts';
import { firstConfig, type FoundService, leftOutBecause, suggestSlo } from '../../src/policy/first-config.ts';
import { loadConfig } from '../../src/policy/load-config.ts';
import { scratchFiles } from './scratch-files.ts';

const MOST = 5;
const files = scratchFiles();
files.write('pid.yaml', 'controller: pid\n');

const textOf = (found: readonly FoundService[], measuring = 'Measured for 5 s.') =>
  firstConfig({ found, policyFile: 'pid.yaml', measuring, mostServices: MOST });
const load = (text: string) => loadConfig(files.write('tailgov.yaml', text), controllers);

const nanoseconds = fc.double({ min: 1, max: 9e10, noNaN: true });
const found = fc.uniqueArray(
  fc.record(
    {
      port: fc.integer({ min: 1, max: 65_535 }),
      programs: fc.array(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.constantFrom('redis-server', 'redis-server-80', 'true', '1e3', 'null', 'a: b', '# x', 'nginx\n- x', ''),
        ),
        { maxLength: 3 },
      ),
      leftOut: fc.constant('it is for people'),
      measured: fc.record({ requests: fc.nat(), p50Ns: nanoseconds, p99Ns: nanoseconds }),
    },
    { requiredKeys: ['port', 'programs'] },
  ),
  { selector: ({ port }) => port, maxLength: 9 },
);

describe('firstConfig()', () => {
  it('loads, whatever was found, as a dry run of what may be a service', () => {
    fc.assert(
      fc.property(found, fc.string({ unit: 'binary' }), (services, measuring) => {
        const config = load(textOf(services, measuring));
        const wanted = services.filter(({ leftOut }) => leftOut === undefined).slice(0, MOST);
        expect(config.mode).toBe('dry-run');
        expect(config.onExit).toBe('original');
        if (wanted.length === 0) expect(config.services.map(({ name }) => name)).toEqual(['example']);
        else expect(config.services.map(({ target }) => target.ports)).toEqual(wanted.map(({ port }) => [port]));
      }),
    );
  });

  it('keeps what is left out as comments, which load when they are uncommented', () => {
    const text = textOf([
      { port: 22, programs: ['sshd'], leftOut: 'it is for people' },
      { port: 80, programs: ['nginx'] },
    ]);
    expect(text).toContain('# Port 22: sshd. Left out: it is for people');
    expect(load(text).services.map(({ name }) => name)).toEqual(['nginx']);
    const all = text.replaceAll(/^ {2}# (- | {2})/gm, '  $1');
    expect(load(all).services.map(({ name }) => name)).toEqual(['sshd', 'nginx']);
  });

  it('says what was measured and how the objective came of it', () => {
    const measured = { requests: 5000, p50Ns: 90_000, p99Ns: 170_000 };
    const text = textOf([{ port: 6379, programs: ['redis-server'], measured }]);
    expect(text).toContain('# Measured: 5000 requests, p50 90.0 µs, p99 170 µs.\n');
    expect(text).toContain('3 times that p99');
    expect(load(text).services[0]?.slo).toEqual({ quantile: 0.99, latencyNs: 1_000_000, windowMs: 60_000 });
  });

  it.each([
    [298, true],
    [299, false],
  ])('calls %i requests too few for a p99: %s', (requests, tooFew) => {
    const text = textOf([{ port: 80, programs: ['web'], measured: { requests, p50Ns: 1e6, p99Ns: 2e6 } }]);
    expect(text.includes('Too few')).toBe(tooFew);
  });

  it('calls an objective a guess where no request was seen', () => {
    const silent = { requests: 0, p50Ns: 0, p99Ns: 0 };
    for (const measured of [{}, { measured: silent }]) {
      expect(textOf([{ port: 80, programs: ['web'], ...measured }])).toContain('# A guess');
    }
  });

  it('names services after their programs, each once', () => {
    const services = [6379, 6380, 80, 81].map((port, index) => ({
      port,
      programs: index < 2 ? ['redis-server'] : index === 2 ? [] : ['(weird)'],
    }));
    const names = load(textOf(services)).services.map(({ name }) => name);
    expect(names).toEqual(['redis-server', 'redis-server-6380', 'port-80', 'port-81']);
  });
});

describe('suggestSlo()', () => {
  it.each([
    [100_000, '500us'],
    [333_000, '1ms'],
    [334_000, '2ms'],
    [170_000_000, '1s'],
    [0, '1us'],
    [1e12, '10min'],
  ])('makes of a p99 of %i ns %s', (p99Ns, slo) => expect(suggestSlo(p99Ns)).toBe(slo));

  it('leaves the room of three times, and not of eight', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 160_000_000_000 }), (p99Ns) => {
        const ns = parseDurationNs(suggestSlo(p99Ns))!;
        expect(ns).toBeGreaterThanOrEqual(3 * p99Ns);
        expect(ns).toBeLessThanOrEqual(7.5 * p99Ns);
      }),
    );
  });
});

describe('leftOutBecause()', () => {
  it.each([
    [['sshd'], true],
    [['systemd'], true],
    [['systemd', 'sshd'], true],
    [['redis-server'], false],
    [['systemd', 'nginx'], false],
    [['constructor'], false],
    [[], false],
  ])('leaves %j out: %s', (programs, out) => expect(leftOutBecause(programs) !== undefined).toBe(out));
});
