import { describe, expect, it } from 'vitest';
import { PolicyError } from '../../src/core/errors.ts';
import { type PowerModel, packagePowerWatts } from '../../src/core/power-model.ts';
import { type PowerSample, fitPower, nonNegativeLeastSquares, parsePowerSamples } from '../../src/plant/power-fit.ts';
import { Random } from '../../src/plant/random.ts';

const truth: PowerModel = {
  name: 'truth',
  source: 'made up',
  leavesOut: 'nothing',
  coreCount: 4,
  staticWatts: 21,
  idleCoreWatts: 0.5,
  awakeWattsPerVolt: 1.5,
  capacitanceNf: 1.8,
  voltages: [
    { frequencyKhz: 800_000, volts: 0.7 },
    { frequencyKhz: 3_000_000, volts: 1.1 },
  ],
};

/** What RAPL would count on the true machine, with noise of so many watts. */
function recorded(intervals: number, noiseWatts: number, model = truth): PowerSample[] {
  const random = new Random(1, 'samples');
  let joules = 1000;
  return Array.from({ length: intervals + 1 }, (_, i) => {
    const cores = Array.from({ length: 4 }, () => ({
      frequencyKhz: 800_000 + 2_200_000 * random.nextUnit(),
      busy: random.nextUnit(),
    }));
    if (i > 0) joules += packagePowerWatts(model, cores) + noiseWatts * random.nextNormal();
    return { atNs: i * 1e9, joules, cores };
  });
}

describe('fitPower()', () => {
  it('finds the parameters behind samples without noise, exactly', () => {
    const fit = fitPower(truth, recorded(50, 0));
    expect(fit.model.staticWatts).toBeCloseTo(21, 6);
    expect(fit.model.awakeWattsPerVolt).toBeCloseTo(1.5, 6);
    expect(fit.model.capacitanceNf).toBeCloseTo(1.8, 6);
    expect(fit.rmsWatts).toBeLessThan(1e-6);
    expect(fit).toMatchObject({ intervals: 50, skipped: 0 });
    expect(fit.explainedRatio).toBeCloseTo(1, 9);
  });

  it('reports residuals that are the noise', () => {
    const fit = fitPower(truth, recorded(2000, 0.4));
    expect(fit.rmsWatts).toBeGreaterThan(0.36);
    expect(fit.rmsWatts).toBeLessThan(0.44);
    expect(fit.largestWatts).toBeGreaterThan(fit.rmsWatts);
    expect(fit.residualsWatts).toHaveLength(2000);
    expect(fit.model.staticWatts).toBeCloseTo(21, 0);
  });

  it('leaves out intervals in which the counter wrapped', () => {
    const samples = recorded(50, 0);
    const wrapped = samples.map((sample, i) => (i < 20 ? sample : { ...sample, joules: sample.joules - 900 }));
    const fit = fitPower(truth, wrapped);
    expect(fit).toMatchObject({ intervals: 49, skipped: 1 });
    expect(fit.model.staticWatts).toBeCloseTo(21, 6);
  });

  it('never answers a negative parameter', () => {
    const { model } = fitPower({ ...truth, idleCoreWatts: 8 }, recorded(50, 0));
    for (const value of [model.staticWatts, model.awakeWattsPerVolt, model.capacitanceNf]) {
      expect(value).toBeGreaterThanOrEqual(0);
    }
  });

  it('refuses samples that say too little', () => {
    expect(() => fitPower(truth, recorded(3, 0))).toThrow('3 usable intervals');
    const idle = recorded(20, 0).map((sample) => ({
      ...sample,
      cores: sample.cores.map((core) => ({ ...core, busy: 0 })),
    }));
    expect(() => fitPower(truth, idle)).toThrow('does not rise with load');
  });
});

describe('nonNegativeLeastSquares()', () => {
  it('solves what can be solved, and drops columns that would go negative or say the same', () => {
    expect(
      nonNegativeLeastSquares(
        [
          [1, 0, 0],
          [0, 1, 0],
        ],
        [3, 4, 0],
      ),
    ).toEqual([3, 4]);
    expect(
      nonNegativeLeastSquares(
        [
          [1, 0],
          [0, 1],
        ],
        [3, -4],
      ),
    ).toEqual([3, 0]);
    const [a, b] = nonNegativeLeastSquares(
      [
        [1, 1],
        [2, 2],
      ],
      [4, 4],
    );
    expect(a! + 2 * b!).toBeCloseTo(4, 12);
  });
});

describe('parsePowerSamples()', () => {
  it('reads one sample a line', () => {
    const text = '{"atNs":1,"joules":2.5,"cores":[[2000000,0.5],[1000000,1]]}\n\n';
    expect(parsePowerSamples('p.jsonl', text)).toEqual([
      {
        atNs: 1,
        joules: 2.5,
        cores: [
          { frequencyKhz: 2_000_000, busy: 0.5 },
          { frequencyKhz: 1_000_000, busy: 1 },
        ],
      },
    ]);
  });

  it('reports every bad line with its number', () => {
    const bad = ['x', '{}', '{"atNs":1,"joules":1,"cores":[]}', '{"atNs":1,"joules":1,"cores":[[1,2]]}', 'null'];
    try {
      parsePowerSamples('p.jsonl', bad.join('\n'));
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(PolicyError);
      expect((error as PolicyError).problems.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5]);
    }
  });
});
