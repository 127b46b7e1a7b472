/**
 * Modelled power of a CPU package:
 *
 *     P = P_static + Σ cores [ P_idle · (1 − busy) + (L · V(f) + C · V(f)² · f) · busy ]
 *
 * the usual CMOS split: switching power grows with C·V²·f (Chandrakasan, Sheng, Brodersen, "Low-Power CMOS Digital Design",
 * IEEE JSSC 27(4), 1992), a core that is awake leaks about in proportion to its voltage, an idle core is clock-gated, and the
 * static part flows whatever the cores do. Because of the last two a low frequency is not free: work takes longer, and the
 * energy of a cycle has its minimum well above the lowest frequency.
 *
 * It is a model. Whatever comes out of it is to be labelled `modelled`.
 */
export interface PowerModel {
  readonly name: string;
  /** Where the parameters come from, and which are assumptions. For humans: shown wherever a figure is. */
  readonly source: string;
  /** What the model does not know. For humans. */
  readonly leavesOut: string;
  /** Physical cores of the package. */
  readonly coreCount: number;
  /** P_static: uncore, memory controller, always-on leakage. */
  readonly staticWatts: number;
  /** P_idle of one core. */
  readonly idleCoreWatts: number;
  /** Of one core that nothing runs on, so that it stays in its deepest sleep; P_idle where absent. */
  readonly parkedCoreWatts?: number;
  /** L: what an awake core leaks, in watts per volt. */
  readonly awakeWattsPerVolt: number;
  /** C: the effective switched capacitance of a busy core, in W / (GHz · V²), which is nanofarad. */
  readonly capacitanceNf: number;
  /** V(f): ascending in frequency, linear in between, constant beyond its ends. */
  readonly voltages: readonly VoltagePoint[];
}

export interface VoltagePoint {
  readonly frequencyKhz: number;
  readonly volts: number;
}

/** What one physical core did in a span of time. */
export interface CoreLoad {
  readonly frequencyKhz: number;
  /** The share of the span in which it was awake, 0..1. */
  readonly busy: number;
}

/** Mean power of the package, in W, over a span in which its cores did this. Cores that are not listed are idle. */
export function packagePowerWatts(model: PowerModel, cores: readonly CoreLoad[]): number {
  const unlisted = Math.max(0, model.coreCount - cores.length);
  let watts = model.staticWatts + unlisted * model.idleCoreWatts;
  for (const { frequencyKhz, busy } of cores) {
    watts += model.idleCoreWatts * (1 - busy) + busyCoreWatts(model, frequencyKhz) * busy;
  }
  return watts;
}

/** Power, in W, of one core that is busy all the time. */
export function busyCoreWatts(model: PowerModel, frequencyKhz: number): number {
  const volts = voltsAt(model.voltages, frequencyKhz);
  return model.awakeWattsPerVolt * volts + (model.capacitanceNf * volts * volts * frequencyKhz) / KHZ_PER_GHZ;
}

/** V(f) in volts. */
export function voltsAt(voltages: readonly VoltagePoint[], frequencyKhz: number): number {
  const above = voltages.findIndex((point) => point.frequencyKhz >= frequencyKhz);
  if (above === -1) return voltages.at(-1)?.volts ?? 0;
  const high = voltages[above]!;
  const low = voltages[above - 1] ?? high;
  if (high.frequencyKhz === low.frequencyKhz) return high.volts;
  const share = (frequencyKhz - low.frequencyKhz) / (high.frequencyKhz - low.frequencyKhz);
  return low.volts + share * (high.volts - low.volts);
}

/** Package power with every core busy at one frequency, as data sheets state it. */
export interface FullLoadPoint {
  readonly frequencyKhz: number;
  readonly watts: number;
}

/**
 * The model whose power with all cores busy goes through two known points: they settle the static power and the capacitance,
 * once voltages and the two per-core constants are assumed.
 *
 * @throws RangeError when the points, with these assumptions, need a negative static power or capacitance
 */
export function fitPowerModel(
  known: Omit<PowerModel, 'staticWatts' | 'capacitanceNf'>,
  points: readonly [FullLoadPoint, FullLoadPoint],
): PowerModel {
  // With all cores busy P = P_static + n·L·V + C·(n·V²·f): a line in C.
  const terms = points.map(({ frequencyKhz, watts }) => {
    const volts = voltsAt(known.voltages, frequencyKhz);
    return {
      wattsLessLeakage: watts - known.coreCount * known.awakeWattsPerVolt * volts,
      wattsPerNf: (known.coreCount * volts * volts * frequencyKhz) / KHZ_PER_GHZ,
    };
  });
  const [a, b] = [terms[0]!, terms[1]!];
  const capacitanceNf = (b.wattsLessLeakage - a.wattsLessLeakage) / (b.wattsPerNf - a.wattsPerNf);
  const staticWatts = a.wattsLessLeakage - capacitanceNf * a.wattsPerNf;
  if (!(capacitanceNf >= 0 && staticWatts >= 0)) {
    throw new RangeError(
      `the power model ${known.name} does not fit its points: static ${staticWatts} W, capacitance ${capacitanceNf} nF, expected neither to be negative`,
    );
  }
  return { ...known, staticWatts, capacitanceNf };
}

const KHZ_PER_GHZ = 1_000_000;

/** Intel's Tiger Lake laptop part: 4 cores, 8 threads, 0.4 to 4.7 GHz. */
export const corei7_1165g7: PowerModel = fitPowerModel(
  {
    name: 'Intel Core i7-1165G7',
    source:
      "Two published points: configurable TDP, 12 W at 1.2 GHz and 28 W at 2.8 GHz with all four cores busy (Intel's product specification). Assumed: the voltage curve, 0.1 W for an idle core, 1 W per volt of leakage for an awake one",
    leavesOut:
      'Graphics, DRAM, voltage regulators, fans, turbo power limits, temperature, deep package sleep, the cost of a frequency change, and what two hardware threads of one core share',
    coreCount: 4,
    idleCoreWatts: 0.1,
    awakeWattsPerVolt: 1,
    voltages: [
      { frequencyKhz: 400_000, volts: 0.6 },
      { frequencyKhz: 1_200_000, volts: 0.65 },
      { frequencyKhz: 2_800_000, volts: 0.85 },
      { frequencyKhz: 4_700_000, volts: 1.3 },
    ],
  },
  [
    { frequencyKhz: 1_200_000, watts: 12 },
    { frequencyKhz: 2_800_000, watts: 28 },
  ],
);

/** The formula and the parameters in one line, for reports. */
export function describePowerModel(model: PowerModel): string {
  const volts = model.voltages
    .map(({ frequencyKhz, volts: v }) => `${v} V at ${frequencyKhz / KHZ_PER_GHZ} GHz`)
    .join(', ');
  return (
    `P = ${model.staticWatts.toFixed(2)} W + Σ over ${model.coreCount} cores of ` +
    `${model.idleCoreWatts} W · (1 − busy) + (${model.awakeWattsPerVolt} W/V · V + ${model.capacitanceNf.toFixed(2)} nF · V² · f) · busy; V: ${volts}`
  );
}
