import { readdirSync, readFileSync } from 'node:fs';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import { NS_PER_S } from '../core/units.ts';

/**
 * What becomes of a control that somebody else writes, too. `yield`: they are let have it. A number: we write it again, at
 * most that often a minute for each frequency policy, and let them have it for the rest of the minute.
 */
export type ForeignWriterResponse = 'yield' | { readonly overridesPerMinute: number };

/** One-off writes are corrected, and nobody is fought. */
export const DEFAULT_FOREIGN_WRITER: ForeignWriterResponse = { overridesPerMinute: 3 };

const MINUTE_NS = BigInt(60 * NS_PER_S);
/** After this long it is tried whether whoever wrote has lost interest. */
const YIELD_NS = BigInt(600 * NS_PER_S);

/** When a policy may override what somebody else wrote. */
export class OverrideBudget {
  readonly #perMinute: number;
  readonly #clock: Clock;
  #spentAtNs: readonly bigint[] = [];

  constructor(response: ForeignWriterResponse, clock: Clock) {
    this.#perMinute = response === 'yield' ? 0 : response.overridesPerMinute;
    this.#clock = clock;
  }

  /** @returns true where one more is allowed, which is then spent */
  spend(): boolean {
    const nowNs = this.#clock.monotonicNs();
    this.#spentAtNs = this.#spentAtNs.filter((atNs) => nowNs - atNs < MINUTE_NS);
    if (this.#spentAtNs.length >= this.#perMinute) return false;
    this.#spentAtNs = [...this.#spentAtNs, nowNs];
    return true;
  }

  /** Until when (monotonic ns) the writer is let be, once nothing may be spent. */
  get yieldUntilNs(): bigint {
    const first = this.#spentAtNs[0];
    return first === undefined ? this.#clock.monotonicNs() + YIELD_NS : first + MINUTE_NS;
  }
}

/** Programs known to write cpufreq files, by what /proc/PID/comm shows of their names (15 characters). */
const WRITERS: Readonly<Record<string, string>> = {
  'auto-cpufreq': 'auto-cpufreq',
  cpufreqd: 'cpufreqd',
  cpufrequtils: 'cpufrequtils',
  cpupower: 'cpupower',
  gamemoded: 'GameMode',
  intel_lpmd: 'intel_lpmd',
  laptop_mode: 'laptop-mode-tools',
  'power-profiles-': 'power-profiles-daemon',
  'system76-power': 'system76-power',
  thermald: 'thermald',
  tlp: 'TLP',
  'tlp-pd': 'TLP',
  tuned: 'tuned',
  'tuned-ppd': 'tuned',
};

/** Those of the processes that are known to write cpufreq files, by name. */
export function knownWriters(commands: readonly string[]): readonly string[] {
  return [...new Set(commands.flatMap((command) => (Object.hasOwn(WRITERS, command) ? WRITERS[command]! : [])))].sort();
}

/** For humans, at the end of a sentence: who may have written. */
export function suspectsAmong(commands: readonly string[]): string {
  const known = knownWriters(commands);
  if (known.length === 0) return 'none of the programs known to do so is running';
  return `running: ${known.join(', ')}`;
}

/** What /proc/PID/comm shows of every process. */
export function runningCommands(log: (message: string) => void = () => undefined): readonly string[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => commandOf(pid) ?? []);
  } catch (error) {
    log(`cannot list processes: ${messageOf(error)}`);
    return [];
  }
}

/** @returns null where the process has ended, or is hidden from us */
function commandOf(pid: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return null;
    throw error;
  }
}
