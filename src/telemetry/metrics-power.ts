import { readFileSync } from 'node:fs';
import { corei7_1165g7, packagePowerWatts, type PowerModel } from '../core/power-model.ts';
import type { EnergyReading, PowerMeter, PowerOrigin } from './power-meter.ts';

/** The models that a config can name, and the name of the CPU that each belongs to. */
const MODELS: Readonly<Record<string, { readonly model: PowerModel; readonly cpuName: RegExp }>> = {
  'i7-1165g7': { model: corei7_1165g7, cpuName: /\bi7-1165G7\b/ },
};

/**
 * @param name one of the models, `off`, or `auto`: the one for the CPU that this program runs on
 * @returns null where there is no model: then no power is told, rather than an invented one
 */
export function choosePowerModel(name: string, cpuName: () => string = ownCpuName): PowerModel | null {
  if (name !== 'auto') return MODELS[name]?.model ?? null;
  const own = cpuName();
  return Object.values(MODELS).find((known) => known.cpuName.test(own))?.model ?? null;
}

/** As /proc/cpuinfo has it; empty where it has none, as on arm64. */
function ownCpuName(): string {
  return /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
}

/** CPU time since boot, by CPU number, in any unit. */
export interface CpuTimes {
  readonly busy: number;
  readonly total: number;
}

/** From /proc/stat: time that is neither idle nor waiting for a disk is busy. */
export function readCpuTimes(text: string = readFileSync('/proc/stat', 'utf8')): ReadonlyMap<number, CpuTimes> {
  const times = new Map<number, CpuTimes>();
  for (const [, cpu, fields] of text.matchAll(/^cpu(\d+) (.*)$/gm)) {
    // The last two are times of guests, which user and nice already contain.
    const ticks = fields!.trim().split(/\s+/).map(Number).slice(0, 8);
    const total = ticks.reduce((sum, each) => sum + each, 0);
    times.set(Number(cpu), { busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), total });
  }
  return times;
}

export interface PowerDomain {
  readonly id: string;
  readonly cpus: readonly number[];
}

/** /proc/stat counts in steps of 10 ms: much shorter looks would be coarse. Ticks come together, those of a second at a time. */
const LOOK_MS = 900;

/**
 * Adds up modelled energy: the frequencies that were applied, tick by tick, and how busy the machine's CPUs were meanwhile.
 * Not a measurement: it knows what the model knows.
 */
export class ModelledPower implements PowerMeter {
  readonly model: PowerModel;
  readonly origin: PowerOrigin;
  #domains: readonly PowerDomain[];
  readonly #cpuTimes: () => ReadonlyMap<number, CpuTimes>;
  #energy: EnergyReading | null = null;
  #watts: number | null = null;
  #before: ReadonlyMap<number, CpuTimes>;
  /** Stretches since the last look at the CPU times, each with one frequency a domain. */
  #stretches: { readonly forMs: number; readonly khz: ReadonlyMap<string, number> }[] = [];
  #sinceLookMs = 0;
  #last: { readonly atMs: number; readonly khz: ReadonlyMap<string, number> } | null = null;

  constructor(model: PowerModel, domains: readonly PowerDomain[], cpuTimes = () => readCpuTimes()) {
    this.model = model;
    this.origin = { source: 'modelled', model: model.name };
    this.#domains = domains;
    this.#cpuTimes = cpuTimes;
    this.#before = cpuTimes();
  }

  /** Domains that have come count from now on. Those that have gone have no frequency, and are idle so. */
  know(domains: readonly PowerDomain[]): void {
    const known = new Set(this.#domains.map(({ id }) => id));
    this.#domains = [...this.#domains, ...domains.filter(({ id }) => !known.has(id))];
  }

  get energy(): EnergyReading | null {
    return this.#energy;
  }

  get watts(): number | null {
    return this.#watts;
  }

  tick(atMs: number, khz: ReadonlyMap<string, number>, isNewest = true): void {
    if (this.#last !== null && atMs > this.#last.atMs) {
      const forMs = atMs - this.#last.atMs;
      this.#stretches.push({ forMs, khz: this.#last.khz });
      this.#sinceLookMs += forMs;
    }
    this.#last = { atMs, khz };
    this.#energy ??= { joules: 0, atMs };
    if (isNewest && this.#sinceLookMs >= LOOK_MS) this.#look(atMs);
  }

  #look(atMs: number): void {
    const now = this.#cpuTimes();
    const busy = (cpu: number) => busyShare(this.#before.get(cpu), now.get(cpu));
    let joules = 0;
    for (const { forMs, khz } of this.#stretches) {
      joules += (packagePowerWatts(this.model, this.#coreLoads(khz, busy)) * forMs) / 1000;
    }
    this.#energy = { joules: (this.#energy?.joules ?? 0) + joules, atMs };
    this.#watts = joules / (this.#sinceLookMs / 1000);
    this.#before = now;
    this.#stretches = [];
    this.#sinceLookMs = 0;
  }

  /** Hardware threads of a core are taken to be awake at different times, so long as that is possible. */
  #coreLoads(khz: ReadonlyMap<string, number>, busy: (cpu: number) => number) {
    const cpuCount = this.#domains.reduce((sum, { cpus }) => sum + cpus.length, 0);
    const threadsPerCore = Math.max(1, Math.round(cpuCount / this.model.coreCount));
    return this.#domains.flatMap(({ id, cpus }) => {
      const frequencyKhz = khz.get(id);
      if (frequencyKhz === undefined) return [];
      const cores = Math.max(1, Math.round(cpus.length / threadsPerCore));
      const awake = Math.min(1, cpus.reduce((sum, cpu) => sum + busy(cpu), 0) / cores);
      return Array.from({ length: cores }, () => ({ frequencyKhz, busy: awake }));
    });
  }
}

/** 0 for a CPU that is not there. */
function busyShare(before: CpuTimes | undefined, now: CpuTimes | undefined): number {
  if (before === undefined || now === undefined || now.total <= before.total) return 0;
  return Math.min(1, Math.max(0, (now.busy - before.busy) / (now.total - before.total)));
}
