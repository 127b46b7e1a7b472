import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { powerCommand } from '../../src/cli/power.ts';
import { PolicyError, UsageError } from '../../src/core/errors.ts';
import { packagePowerWatts } from '../../src/core/power-model.ts';
import { objectiveOption } from '../../src/study/objective.ts';
import { serverFrom } from '../../src/study/scenario.ts';

const directory = mkdtempSync(join(tmpdir(), 'tailgov-power-'));
afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

function file(name: string, text: string): string {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
}

const server = (staticWatts: number, capacitanceNf: number) => `name: mine
source: a guess
cores: 2
frequencies: [1GHz, 2GHz]
voltages: [{ frequency: 1GHz, volts: 0.8 }, { frequency: 2GHz, volts: 1 }]
staticWatts: ${staticWatts}
idleCoreWatts: 1
awakeWattsPerVolt: 0
capacitanceNf: ${capacitanceNf}
`;

describe('tailgov power fit', () => {
  it('makes a power file that the simulator takes, from samples of a known server', () => {
    const truth = serverFrom(file('truth.yaml', server(20, 3))).power;
    let joules = 0;
    const samples = Array.from({ length: 12 }, (_, second) => {
      const cores = [
        { frequencyKhz: second % 2 === 0 ? 1_000_000 : 2_000_000, busy: (second % 5) / 5 },
        { frequencyKhz: 1_000_000, busy: (second % 3) / 3 },
      ];
      joules += packagePowerWatts(truth, cores);
      return JSON.stringify({
        atNs: second * 1e9,
        joules,
        cores: cores.map(({ frequencyKhz, busy }) => [frequencyKhz, busy]),
      });
    });
    let printed = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => (printed += String(text)) !== '');
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const args = ['fit', file('samples', samples.join('\n')), '--server', file('guess.yaml', server(1, 1))];
    powerCommand().parse(args, { from: 'user' });
    const fitted = serverFrom(file('fitted.yaml', printed)).power;
    expect(fitted.staticWatts).toBeCloseTo(20, 3);
    expect(fitted.capacitanceNf).toBeCloseTo(3, 3);
    expect(fitted.source).toContain('fitted to 11 intervals');
  });

  it('says where samples are wrong or too few', () => {
    const guess = file('guess.yaml', server(1, 1));
    const fit = (text: string) => () =>
      powerCommand().parse(['fit', file('bad', text), '--server', guess], { from: 'user' });
    expect(fit('{}')).toThrow(/bad:1:1: no power sample/);
    expect(fit('')).toThrow(/bad:1:1: cannot fit power to 0 usable intervals/);
  });
});

describe('serverFrom()', () => {
  it('says where a power file is wrong', () => {
    expect(() => serverFrom(file('wrong.yaml', server(-1, 1)))).toThrow(PolicyError);
    expect(() => serverFrom(file('wrong.yaml', server(-1, 1)))).toThrow(/wrong\.yaml:6:\d+: /);
  });
});

describe('objectiveOption()', () => {
  it('takes a quantile and a latency', () => {
    expect(objectiveOption('p99.9:5ms')).toEqual({ quantile: 0.999, latencyNs: 5e6 });
    for (const bad of ['5ms', 'p99', 'p99:0ms', 'p99:5', 'p99:5ms:1', 'p0:5ms']) {
      expect(() => objectiveOption(bad), bad).toThrow(UsageError);
    }
  });
});
