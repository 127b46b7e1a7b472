import { NS_PER_US, kiloHertz } from '../core/units.ts';
import { type ServerModel, uniformMachine } from './server-model.ts';

/** 0.8 to 2.2 GHz in steps of 100 MHz, as cpufreq lists them. */
const STEPS_KHZ = Array.from({ length: 15 }, (_, step) => kiloHertz(800_000 + 100_000 * step));

/**
 * A Skylake server from published figures. A core draws 4 W at 2.2 GHz and 1 W at 0.8 GHz: dynamic power C·V²·f goes through
 * both when V rises by the square root of (4 ÷ 1) · (0.8 ÷ 2.2), a factor of 1.206, and only that ratio matters.
 */
export const xeonSilver4114: ServerModel = {
  machine: uniformMachine(
    10,
    { minKhz: kiloHertz(800_000), maxKhz: kiloHertz(2_200_000), stepsKhz: STEPS_KHZ },
    'core',
  ),
  power: {
    name: 'Intel Xeon Silver 4114',
    source:
      'Published: 4 W a core at 2.2 GHz, 1 W at 0.8 GHz, idle 1.44 W in C1, 0.88 W in C1E, 0.1 W in C6 (Haj-Yahya et al., AgileWatts, MICRO 2022, table 1); 44 W for the package with all ten cores in C1 (Antoniou et al., AgilePkgC, MICRO 2022), so 29.6 W without them. Assumed: the voltage curve (a line whose ends fit the two core powers), no power of an awake core apart from C·V²·f',
    leavesOut:
      'Turbo, hyperthreads, DRAM, package sleep states, voltage regulators, fans, temperature, how memory-bound work draws less',
    coreCount: 10,
    staticWatts: 29.6,
    idleCoreWatts: 1.44,
    awakeWattsPerVolt: 0,
    capacitanceNf: 1 / (0.8 * 0.7 ** 2),
    voltages: [
      { frequencyKhz: 800_000, volts: 0.7 },
      { frequencyKhz: 2_200_000, volts: 0.7 * Math.sqrt(4 * (0.8 / 2.2)) },
    ],
  },
  // Exit latencies and target residencies: the table skx_cstates of Linux' drivers/idle/intel_idle.c.
  idleStates: [
    { name: 'C1', afterNs: 0, wakeNs: 2 * NS_PER_US, watts: 1.44 },
    { name: 'C1E', afterNs: 20 * NS_PER_US, wakeNs: 10 * NS_PER_US, watts: 0.88 },
    { name: 'C6', afterNs: 600 * NS_PER_US, wakeNs: 133 * NS_PER_US, watts: 0.1 },
  ],
  // Assumed: the order of what per-core regulators of this generation need.
  transitionLatencyNs: 20 * NS_PER_US,
};

/** By the name that a command takes. */
export const servers: Readonly<Record<string, ServerModel>> = { 'xeon-silver-4114': xeonSilver4114 };
