/**
 * How fast the plant simulates, and that its memory does not grow with simulated time: `npx tsx bench/plant.ts [ROUNDS]`.
 * `npx tsx bench/plant.ts theory [SEED...]` holds it against queueing theory at loads where a mean takes tens of millions of requests.
 *
 * Speed is M/G/k with k = 16 at three loads, latencies recorded, read and given a new frequency 10 times a simulated second,
 * as a controller would. Workloads alternate, in turned order from round to round. Both wall time and this process's CPU time are shown: on a
 * machine that others use, the second is nearer to what a quiet machine does.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { NS_PER_MS, NS_PER_S, NS_PER_US, kiloHertz } from '../src/core/units.ts';
import { type Distribution, meanNsOf } from '../src/plant/distribution.ts';
import { Simulation } from '../src/plant/simulation.ts';
import { type Estimate, measureQueue, mmkMean, mmkQuantile } from '../test/plant/support/queueing.ts';
import { plainServer } from '../test/plant/support/servers.ts';
import { summaryOf } from './overhead/spread.ts';

const CORES = 16;
/** As test/plant/queueing-theory.test.ts has them. */
const SEEDS = [1, 2, 3, 4, 5];
const LARGEST_ERROR = 0.01;
const SIMULATED_NS = 2 * NS_PER_S;
const TICK_NS = 100 * NS_PER_MS;

interface Case {
  readonly demand: Distribution;
  readonly loadRatio: number;
}

const cases: readonly Case[] = [
  { demand: { kind: 'exponential', meanNs: 10 * NS_PER_US }, loadRatio: 0.3 },
  { demand: { kind: 'exponential', meanNs: 10 * NS_PER_US }, loadRatio: 0.7 },
  { demand: { kind: 'lognormal', meanNs: 10 * NS_PER_US, sigma: 1 }, loadRatio: 0.7 },
  { demand: { kind: 'bimodal', shortNs: 5 * NS_PER_US, longNs: 105 * NS_PER_US, longRatio: 0.05 }, loadRatio: 0.7 },
  { demand: { kind: 'exponential', meanNs: 10 * NS_PER_US }, loadRatio: 0.95 },
];

if (process.argv[2] === 'theory') compareWithTheory(process.argv.slice(3).map(Number));
else measureSpeed(Number(process.argv[2] ?? 10));

function measureSpeed(rounds: number): void {
  const results = cases.map(() => ({ wall: [] as number[], cpu: [] as number[] }));
  for (let round = -1; round < rounds; round++) {
    const order = cases.map((_, index) => (round % 2 === 0 ? index : cases.length - 1 - index));
    for (const index of order) {
      const { requests, wallS, cpuS } = simulate(cases[index]!, round + 2);
      // The first round compiles.
      if (round < 0) continue;
      results[index]!.wall.push(requests / wallS / 1e6);
      results[index]!.cpu.push(requests / cpuS / 1e6);
    }
  }
  console.log(`million requests simulated a second, k = ${CORES}, ${rounds} rounds: median (first to third quartile)`);
  cases.forEach(({ demand, loadRatio }, index) => {
    const { wall, cpu } = results[index]!;
    console.log(
      `  ${demand.kind.padEnd(12)} load ${loadRatio}   wall ${summaryOf(wall, 2)}   CPU ${summaryOf(cpu, 2)}`,
    );
  });
  console.log('heap after simulated seconds, in MB, with the garbage collected');
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const simulation = newSimulation(cases[1]!, 1);
  for (const seconds of [1, 4, 16]) {
    advance(simulation, seconds * NS_PER_S);
    collectGarbage();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    console.log(`  ${String(seconds).padStart(3)} s   ${((heapUsed + arrayBuffers) / 1e6).toFixed(1)}`);
  }
}

function newSimulation({ demand, loadRatio }: Case, seed: number): Simulation {
  return new Simulation({
    server: plainServer(CORES, { shape: 'core', transitionLatencyNs: 20 * NS_PER_US }),
    services: [
      {
        name: 'service',
        sloLatencyNs: 100 * NS_PER_US,
        arrivals: { kind: 'poisson', ratePerS: (loadRatio * CORES * NS_PER_S) / meanNsOf(demand) },
        demand,
        frequencyBoundRatio: 1,
        dispatch: { kind: 'central' },
      },
    ],
    seed,
  });
}

function simulate(each: Case, seed: number): { requests: number; wallS: number; cpuS: number } {
  const simulation = newSimulation(each, seed);
  const wallStart = process.hrtime.bigint();
  const cpuStart = process.cpuUsage();
  const requests = advance(simulation, SIMULATED_NS);
  const cpu = process.cpuUsage(cpuStart);
  return {
    requests,
    wallS: Number(process.hrtime.bigint() - wallStart) / NS_PER_S,
    cpuS: (cpu.user + cpu.system) / 1e6,
  };
}

/** With a controller that goes up and down by a hair, so that frequencies really change. */
function advance(simulation: Simulation, untilNs: number): number {
  const { machine } = simulation.actuator;
  let requests = 0;
  for (let tick = 1; simulation.nowNs < untilNs; tick++) {
    simulation.advanceTo(Math.min(untilNs, simulation.nowNs + TICK_NS));
    requests += simulation.sensor.read()[0]!.requests;
    const khz = kiloHertz(tick % 2 === 0 ? 2_000_000 : 1_990_000);
    simulation.actuator.apply({
      frequencyKhz: Object.fromEntries(machine.domains.map(({ id }) => [id, khz])),
      cpus: {},
    });
  }
  return requests;
}

function compareWithTheory(given: readonly number[]): void {
  const meanNs = 10 * NS_PER_US;
  const runs = [
    { cores: 1, loadRatio: 0.8, requests: 8_000_000 },
    { cores: 16, loadRatio: 0.95, requests: 100_000_000 },
    { cores: 1, loadRatio: 0.9, requests: 20_000_000 },
    { cores: 1, loadRatio: 0.95, requests: 100_000_000 },
  ];
  console.log(
    'off theory in standard errors, and the standard error in % of the theory (of p99: the tail beyond it ÷ ln 100)',
  );
  let failures = 0;
  for (const run of runs) {
    for (const seed of given.length === 0 ? SEEDS : given) {
      const boundNs = meanNs * mmkQuantile(run.cores, run.loadRatio, 0.01);
      const measured = measureQueue({ ...run, demand: { kind: 'exponential', meanNs }, seed, boundNs });
      const rows: readonly (readonly [string, Estimate, number, number])[] = [
        ['mean', measured.latencyNs, meanNs * mmkMean(run.cores, run.loadRatio), 1],
        ['p99', measured.overBoundRatio, 0.01, Math.log(100)],
        ['utilization', measured.utilization, run.loadRatio, 1],
        [
          'Little',
          { ...measured.littleGap, mean: measured.inSystem.mean + measured.littleGap.mean },
          measured.inSystem.mean,
          1,
        ],
      ];
      const texts = rows.map(([name, { mean, standardError }, theory, divisor]) => {
        const off = (mean - theory) / standardError;
        if (Math.abs(off) > 3 || standardError / theory / divisor > LARGEST_ERROR) failures++;
        return `${name} ${off.toFixed(2)} (${((100 * standardError) / theory / divisor).toFixed(2)} %)`;
      });
      console.log(`M/M/${run.cores} load ${run.loadRatio} seed ${seed}: ${texts.join(', ')}`);
    }
  }
  console.log(
    failures === 0
      ? 'all within three standard errors, of 1 % at most'
      : `${failures} beyond three standard errors, or with larger ones than 1 %`,
  );
  process.exitCode = failures === 0 ? 0 : 1;
}
