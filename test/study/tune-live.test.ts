import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundedBy } from '../../src/cli/policy-tune-live.ts';
import { UsageError } from '../../src/core/errors.ts';
import { Histogram } from '../../src/core/histogram.ts';
import { type LiveTuneOptions, tuneLive } from '../../src/study/tune-live.ts';
import { type Parameters, tunable } from '../../src/study/tune-policy.ts';
import type { DaemonStatus } from '../../src/telemetry/daemon-status.ts';
import type { DaemonTotals } from '../../src/telemetry/daemon-totals.ts';

const ORIGINAL = '/etc/original.yaml';
const BLOCK_MS = 60_000;
const SLO = { quantile: 0.99, latencyNs: 1e6, windowMs: 60_000 };

/** A daemon whose power falls with `saving`, and whose requests are late above 0.7: 2 % for each tenth beyond. */
function fakeDaemon() {
  const [calls, candidates] = [[] as string[], new Map<string, Parameters>()];
  const latency = new Histogram();
  const state = { file: ORIGINAL, leaseMs: null as number | null, mode: 'govern', governing: true, startedAt: 'once' };
  let [nowMs, joules, requests, overSlo] = [0, 0, 0, 0];
  const pass = (ms: number) => {
    const saving = state.file === ORIGINAL ? 0.2 : (candidates.get(state.file)!['saving'] as number);
    nowMs += ms;
    // The load drifts: only what is next to each other can be compared.
    joules += (ms / 1000) * (100 - 40 * saving) * (1 + nowMs / 1e7);
    requests += ms;
    overSlo += Math.round(Math.max(0, saving - 0.7) * 0.2 * ms);
    if (state.leaseMs !== null && (state.leaseMs -= ms) <= 0) Object.assign(state, { file: ORIGINAL, leaseMs: null });
    return Promise.resolve();
  };
  const totals = (): DaemonTotals => ({
    startedAt: state.startedAt,
    state: state.governing ? 'governing' : 'paused',
    mode: state.mode as DaemonTotals['mode'],
    atMs: nowMs,
    energy: { joules, atMs: nowMs, origin: { source: 'measured', zones: ['package-0'] } },
    services: [{ service: 'web', slo: SLO, requests, overSlo, latency: { inUse: latency.inUse, sumNs: 0 } }],
  });
  const daemon: LiveTuneOptions['daemon'] = {
    totals: () => Promise.resolve(totals()),
    status: () =>
      Promise.resolve({ changes: { policies: [{ service: 'web', file: state.file }] } } as unknown as DaemonStatus),
    swapPolicy: (service, file, persist, forMs) => {
      if (state.file !== file) calls.push(`${file}${forMs === undefined ? '' : ' for a time'}`);
      Object.assign(state, { file, leaseMs: forMs ?? null });
      return Promise.resolve({ service, file, lasts: persist });
    },
  };
  return { calls, candidates, state, daemon, pass };
}

const optionsFor = (fake: ReturnType<typeof fakeDaemon>, others: Partial<LiveTuneOptions> = {}): LiveTuneOptions => ({
  ...{ daemon: fake.daemon, service: 'web', original: ORIGINAL, sleep: fake.pass, start: { saving: 0.2, kept: 'x' } },
  searched: [{ name: 'saving', values: [0.3, 0.5, 0.7] }],
  write: (parameters) => {
    const file = `/tmp/candidate-${fake.candidates.size}.yaml`;
    fake.candidates.set(file, parameters);
    return file;
  },
  ...{ blockMs: BLOCK_MS, warmupMs: 5000, limit: 2, signal: new AbortController().signal },
  ...others,
});

describe('tuneLive()', () => {
  it('finds what draws least, each candidate for a time and after a block of the original, which governs in the end', async () => {
    const fake = fakeDaemon();
    const { tried, ended, notRestored, power } = await tuneLive(optionsFor(fake));
    expect([ended, notRestored, power.source]).toEqual([null, null, 'measured']);
    expect(tried[0]).toMatchObject({ parameters: { saving: 0.7, kept: 'x' }, missedWindows: 0 });
    expect(tried[0]!.energyJ).toBeCloseTo((100 - 28) / (100 - 8), 1);
    expect(fake.calls).toEqual([0, 1, 2].flatMap((index) => [`/tmp/candidate-${index}.yaml for a time`, ORIGINAL]));
    expect(fake.state).toMatchObject({ file: ORIGINAL, leaseMs: null });
  });

  it('counts a block in which the objective is not kept as missed, and gives up beyond the limit', async () => {
    const missed = await tuneLive(optionsFor(fakeDaemon(), { searched: [{ name: 'saving', values: [0.78] }] }));
    expect(missed.ended).toBeNull();
    expect(missed.tried[0]!.parameters['saving']).toBe(0.2);
    expect(missed.tried[1]).toMatchObject({ parameters: { saving: 0.78 }, missedWindows: 1 });

    const fake = fakeDaemon();
    const given = await tuneLive(optionsFor(fake, { searched: [{ name: 'saving', values: [0.9, 0.5] }] }));
    expect(given.ended).toMatch(/requests were late, more than 2 times what the objective tolerates/);
    expect(given.tried).toHaveLength(1);
    // Within a second of the swap, not after the block.
    expect(fake.calls).toEqual(['/tmp/candidate-0.yaml for a time', ORIGINAL]);
    expect(fake.state.file).toBe(ORIGINAL);
  });

  it('goes back to the original wherever it is ended or the daemon fails', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(450), fc.boolean(), async (looks, fails) => {
        const fake = fakeDaemon();
        const ending = new AbortController();
        let left = looks;
        const sleep = (ms: number, signal?: AbortSignal) => {
          if (left-- === 0) {
            if (fails) return Promise.reject(new Error('enough'));
            ending.abort(new Error('enough'));
          }
          return signal?.aborted === true ? Promise.reject(new Error('aborted')) : fake.pass(ms);
        };
        const { ended, notRestored } = await tuneLive(optionsFor(fake, { sleep, signal: ending.signal }));
        expect(ended).toBe(looks < 420 ? 'enough' : null);
        expect(notRestored).toBeNull();
        expect(fake.state.file).toBe(ORIGINAL);
      }),
      { numRuns: 40 },
    );
  });

  it('leaves to others what they swap in, and a daemon that was started anew', async () => {
    for (const change of [{ file: '/etc/other.yaml' }, { startedAt: 'twice' }]) {
      const fake = fakeDaemon();
      let looks = 0;
      const sleep = async (ms: number) => {
        await fake.pass(ms);
        if (++looks === 100) {
          fake.candidates.set('/etc/other.yaml', { saving: 0 });
          Object.assign(fake.state, change);
        }
      };
      // The lease is not renewed over somebody else's choice.
      const { ended } = await tuneLive(optionsFor(fake, { sleep }));
      expect(ended).toMatch(/somebody else|started anew/);
      if ('file' in change) expect(fake.state.file).toBe('/etc/other.yaml');
    }
  });

  it('leaves to others what they swap in just before it is ended', async () => {
    const fake = fakeDaemon();
    const ending = new AbortController();
    let looks = 0;
    const sleep = async (ms: number) => {
      await fake.pass(ms);
      if (++looks !== 100) return;
      fake.candidates.set('/etc/other.yaml', { saving: 0 });
      Object.assign(fake.state, { file: '/etc/other.yaml', leaseMs: null });
      ending.abort(new Error('enough'));
      throw new Error('aborted');
    };
    const { ended, notRestored } = await tuneLive(optionsFor(fake, { sleep, signal: ending.signal }));
    expect([ended, notRestored, fake.state.file]).toEqual(['enough', null, '/etc/other.yaml']);
  });

  it('touches no daemon that makes a dry run, is paused, or does not govern the service', async () => {
    for (const [change, said] of [
      [{ mode: 'dry-run' }, 'dry run'],
      [{ governing: false }, 'is paused'],
    ] as const) {
      const fake = fakeDaemon();
      Object.assign(fake.state, change);
      await expect(tuneLive(optionsFor(fake))).rejects.toThrow(said);
      expect(fake.calls).toEqual([]);
    }
    await expect(tuneLive(optionsFor(fakeDaemon(), { service: 'db' }))).rejects.toThrow('expected one of web');
  });
});

describe('boundedBy()', () => {
  const { pid } = tunable;
  const bounded = (...texts: string[]) => boundedBy(texts, pid!, { setpoint: 0.8, kp: 0.2 });

  it('tries both ends and what lies between', () => {
    expect(bounded('setpoint=0.75..0.9')).toEqual([{ name: 'setpoint', values: [0.75, 0.8, 0.87, 0.9] }]);
    expect(bounded('kp=0.2..0.2')).toEqual([{ name: 'kp', values: [0.2] }]);
  });

  it.each([[], ['setpoint=0.9..0.7'], ['setpoint=0.85..0.9'], ['nope=1..2'], ['setpoint'], ['setpoint=..']])(
    'refuses %j',
    (...texts) => {
      expect(() => bounded(...texts)).toThrow(UsageError);
    },
  );
});
