import type { WriteOutcome } from '../core/actuator.ts';
import type { Clock } from '../core/clock.ts';
import type { Errno, SysfsTree } from '../core/sysfs-tree.ts';
import { kiloHertz, type KiloHertz } from '../core/units.ts';
import { policyDirectory } from '../sysfs/cpufreq-paths.ts';
import type { PolicyInfo } from './discover-machine.ts';
import { anotherThan } from './another-request.ts';
import { preferenceKhz } from './energy-preference.ts';
import type { Disturbances } from './disturbances.ts';
import { OverrideBudget, suspectsAmong, type ForeignWriterResponse } from './foreign-writers.ts';
import { explaining, type FrequencyLimits } from './frequency-limits.ts';
import { METHOD_KINDS, type FrequencyMethod, type PolicyFile } from './frequency-method.ts';

/** What the policies of a machine share. */
export interface PolicySurroundings {
  readonly tree: SysfsTree;
  readonly clock: Clock;
  readonly method: FrequencyMethod;
  readonly foreignWriter: ForeignWriterResponse;
  readonly listProcesses: () => readonly string[];
  readonly limits: FrequencyLimits;
  readonly disturbances: Disturbances;
}

export interface PolicyApplication {
  readonly outcome: WriteOutcome;
  readonly appliedKhz: KiloHertz | null;
  /** Writes that reached the kernel. */
  readonly writes: number;
  readonly detail?: string;
}

/** A file that is ours to write. */
interface Held {
  readonly path: string;
  /** Our last text; null where we have none in it. */
  wrote: string | null;
  /** What the kernel has of us; null before the first write. */
  requested: string | null;
  /** What it read when we looked last; null before. */
  shown: string | null;
  /**
   * The kernel applies a new limit after the write has returned (`cpufreq_notifier_max` leaves it to a worker), so that what
   * is read right behind a write may be the old value. The next look takes whatever it finds for what became of the write.
   */
  settling: boolean;
  /** What it showed before the write that settles. */
  before: string | null;
  /** What was written right before it, for the kernel to see a change; null where that was not needed. */
  passing: string | null;
  /** What was written a second time because it settled as something that nothing explains. */
  insisted: string | null;
}

/** Whoever wrote is let have a file. */
interface Yield {
  readonly file: PolicyFile;
  readonly wrote: string | null;
  readonly untilNs: bigint;
}

/** The policy's CPUs, or its driver, have gone. */
const GONE: ReadonlySet<Errno> = new Set(['ENOENT', 'ENODEV', 'EBUSY']);
/** After failures a policy is left alone for 0, 1, 3, 7, … and at most this many applications. */
const LONGEST_REST = 31;

/**
 * One cpufreq policy under a method. An application has two halves, so that the kernel's workers can do the writes of all
 * policies before the first is read back: `aim` writes what differs, `outcome` reads back what was written.
 */
export class GovernedPolicy {
  readonly info: PolicyInfo;
  readonly #surroundings: PolicySurroundings;
  readonly #directory: string;
  readonly #budget: OverrideBudget;
  readonly #held = new Map<PolicyFile, Held>();
  /** What was aimed at last; null before. */
  #targetKhz: KiloHertz | null = null;
  #yield: Yield | null = null;
  #failure: { readonly detail: string; readonly errno: Errno; readonly gone: boolean } | null = null;
  /** What has to work again before the failure is over: the files, by operation. */
  readonly #failing = { read: new Set<PolicyFile>(), write: new Set<PolicyFile>() };
  #failures = 0;
  #restFor = 0;
  #writes = 0;

  constructor(info: PolicyInfo, surroundings: PolicySurroundings) {
    this.info = info;
    this.#surroundings = surroundings;
    this.#directory = policyDirectory(info.id);
    this.#budget = new OverrideBudget(surroundings.foreignWriter, surroundings.clock);
    for (const file of METHOD_KINDS[surroundings.method].files) {
      const path = this.#path(file);
      const shown = this.#read(file, path);
      this.#held.set(file, {
        path,
        wrote: this.#standing(file, shown),
        requested: null,
        shown,
        settling: true,
        before: shown,
        passing: null,
        insisted: null,
      });
    }
    surroundings.limits.throttling.watch(info);
  }

  /** What needs no write to be there: a governor, and the operator's maximum, though a limit may hide it. */
  #standing(file: PolicyFile, shown: string | null): string | null {
    if (file === 'scaling_governor') return shown;
    const { allowedMaxKhz } = this.info;
    return file === 'scaling_max_freq' && (khzOf(shown) ?? Infinity) <= allowedMaxKhz ? String(allowedMaxKhz) : null;
  }

  /** The policy's files answered as those of an offline CPU or of a driver that has gone. */
  get lost(): boolean {
    return this.#failure?.gone ?? false;
  }

  /** What keeps the policy from being governed; null where nothing does. */
  get refusal(): { readonly detail: string; readonly errno: Errno } | null {
    return this.#failure;
  }

  /** The last frequency stands, and nothing is to be done for it but to look now and then for what others do. */
  get atRest(): boolean {
    const left = this.#yield !== null || this.#failure !== null || this.#failures > 0;
    return !left && this.#writes === 0 && !this.#settling && this.#complete;
  }

  /** It was away: what it shows now says nothing of writers, and everything is written anew. */
  returned(): void {
    this.#resume();
    this.#recovered();
    this.#surroundings.disturbances.forget(this.#directory);
  }

  /**
   * Writes what the frequency needs and does not stand yet.
   * @param look whether to look first for what others have done
   */
  aim(askedKhz: KiloHertz, look: boolean): void {
    this.#writes = 0;
    if (this.#restFor > 0) {
      this.#restFor -= 1;
      return;
    }
    this.#failure = null;
    const { allowedMinKhz, allowedMaxKhz } = this.info;
    const khz = kiloHertz(Math.max(allowedMinKhz, Math.min(allowedMaxKhz, askedKhz)));
    if (look || this.#settling || this.#failures > 0) this.#inspect();
    if (this.#failure !== null || this.#yields()) return;
    if (khz === this.#targetKhz && this.#complete) return;
    this.#targetKhz = khz;
    const kind = METHOD_KINDS[this.#surroundings.method];
    for (const [file, text] of kind.settings(khz, this.info, () => this.#shownMaxKhz())) {
      if (this.#held.get(file)!.wrote !== text && !this.#write(file, text)) return;
    }
  }

  /** Reads back what was written. */
  outcome(): PolicyApplication {
    for (const [file, held] of this.#held) {
      if (held.settling && this.#failure === null) this.#readBack(file, held);
    }
    const { shownIn } = METHOD_KINDS[this.#surroundings.method];
    const shown = this.#held.get(shownIn)!;
    const appliedKhz = this.#countsFor(shownIn, shown.shown);
    const made = (outcome: WriteOutcome, detail?: string): PolicyApplication => ({
      outcome,
      appliedKhz: this.lost ? null : appliedKhz,
      writes: this.#writes,
      ...(detail === undefined ? {} : { detail: `${this.info.id}: ${detail}` }),
    });
    if (this.#failure !== null) return made('refused', this.#failure.detail);
    if (this.#yield !== null) {
      const { file, wrote } = this.#yield;
      return made('yielded', `${file} reads ${this.#held.get(file)!.shown}, wrote ${wrote}: left to whoever wrote it`);
    }
    const done = this.#writes > 0 ? 'applied' : 'unchanged';
    if (appliedKhz === this.#targetKhz || (shown.wrote !== null && shown.shown === shown.wrote)) return made(done);
    // Not applied yet, it seems; had a limit been in force before, it would be that.
    const limited = this.#surroundings.disturbances.has('limit', this.#path(shownIn));
    const isOld = shown.shown === shown.before || (shown.passing !== null && shown.shown === shown.passing);
    const pending = this.#writes > 0 && shown.settling && isOld && !limited;
    if (pending && this.#targetKhz !== null) return { ...made('applied'), appliedKhz: this.#targetKhz };
    return made('clamped', `wrote ${this.#targetKhz}, reads ${shown.shown}`);
  }

  get #settling(): boolean {
    for (const held of this.#held.values()) if (held.settling) return true;
    return false;
  }

  /** Every file has a text of ours. */
  get #complete(): boolean {
    for (const held of this.#held.values()) if (held.wrote === null) return false;
    return true;
  }

  #forget(): void {
    for (const held of this.#held.values()) Object.assign(held, { wrote: null, settling: true });
  }

  /** Looks at every file that is ours. */
  #inspect(): void {
    for (const [file, held] of this.#held) {
      const shown = this.#read(file, held.path);
      if (shown === null) {
        if (this.lost) return;
      } else if (this.#yield !== null) {
        held.shown = shown;
        if (file === this.#yield.file && shown === this.#yield.wrote) this.#resume();
      } else if (shown === held.shown || held.wrote === null || (held.settling && isRange(file))) {
        const settles = held.settling && held.requested !== null && held.wrote !== null;
        held.shown = shown;
        held.settling = false;
        if (shown === held.wrote) this.#undisturbed(held);
        else if (settles && isRange(file) && !this.#noteLimit(file, held, shown)) this.#insist(held);
      } else {
        this.#deviates(file, held, shown);
        // Under another governor the other files say nothing.
        if (file === 'scaling_governor') return;
      }
    }
  }

  #readBack(file: PolicyFile, held: Held): void {
    const shown = this.#read(file, held.path);
    if (shown === null) return;
    held.shown = shown;
    if (shown === held.wrote) {
      held.settling = false;
      this.#undisturbed(held);
    } else if (file === 'scaling_governor' && held.wrote !== null) {
      this.#fail(file, 'write', `write ${held.wrote} to ${file}: reads ${shown}`, 'EINVAL');
      held.wrote = null;
    }
  }

  /**
   * Somebody else may have written before the kernel's answer to us was seen, or a limit is in force that nothing tells of:
   * the same text again, once, shows which.
   */
  #insist(held: Held): void {
    if (held.insisted === held.wrote) return;
    held.insisted = held.wrote;
    held.wrote = null;
  }

  /** The file reads otherwise than it did, though we have not written it. */
  #deviates(file: PolicyFile, held: Held, shown: string): void {
    const [wroteKhz, wasKhz, readsKhz] = [khzOf(held.wrote), khzOf(held.shown), khzOf(shown)];
    held.shown = shown;
    if (wroteKhz !== null && wasKhz !== null && readsKhz !== null) {
      // Up to what we asked for: a limit was lifted.
      if (readsKhz > wasKhz && readsKhz <= wroteKhz) {
        if (readsKhz === wroteKhz) this.#undisturbed(held);
        return;
      }
      if (readsKhz < wroteKhz && this.#noteLimit(file, held, shown)) return;
    }
    this.#foreign(file, held, shown);
  }

  /** @returns true where a limit makes the file read less than we wrote */
  #noteLimit(file: PolicyFile, held: Held, shown: string): boolean {
    const [wroteKhz, readsKhz] = [khzOf(held.wrote), khzOf(shown)];
    if (wroteKhz === null || readsKhz === null || readsKhz >= wroteKhz) return false;
    // A minimum goes down with its maximum, and a speed with it; what lowered that is judged there.
    if (file !== 'scaling_max_freq' && readsKhz >= (this.#shownMaxKhz() ?? Infinity)) {
      if (this.#held.has('scaling_max_freq')) return true;
      this.#noteLimitOf(file, `wrote ${wroteKhz}, reads ${shown}: scaling_max_freq allows no more`);
      return true;
    }
    const limit = explaining(this.#surroundings.limits.on(this.info), readsKhz);
    if (limit === undefined) return false;
    this.#noteLimitOf(file, `wrote ${wroteKhz}, reads ${shown}: ${limit.detail}`);
    return true;
  }

  #noteLimitOf(file: PolicyFile, detail: string): void {
    this.#surroundings.disturbances.begin('limit', this.#path(file), detail, false);
  }

  #foreign(file: PolicyFile, held: Held, shown: string): void {
    const overrides = this.#budget.spend();
    const response = overrides ? 'written again' : 'left alone until it reads what we wrote, or for a while';
    const suspects = suspectsAmong(this.#surroundings.listProcesses());
    const detail = `somebody else writes it: wrote ${held.wrote}, reads ${shown}; ${suspects}; ${response}`;
    this.#surroundings.disturbances.begin('foreign-writer', this.#path(file), detail);
    if (overrides) {
      // A governor that comes back may begin with another speed.
      if (file === 'scaling_governor') this.#forget();
      else held.wrote = null;
    } else {
      this.#yield = { file, wrote: held.wrote, untilNs: this.#budget.yieldUntilNs };
      this.#makeWay(file, shown);
    }
  }

  /** What is still ours must not hold the policy slow under somebody else's setting: it goes to where the operator had it. */
  #makeWay(file: PolicyFile, shown: string): void {
    const { allowedMinKhz, allowedMaxKhz } = this.info;
    if (this.#held.has('scaling_max_freq') && file !== 'scaling_max_freq') {
      const highestKhz = file === 'scaling_min_freq' ? Math.max(allowedMaxKhz, khzOf(shown) ?? 0) : allowedMaxKhz;
      if (this.#held.get('scaling_max_freq')!.wrote !== String(highestKhz)) {
        this.#write('scaling_max_freq', String(highestKhz));
      }
    } else if (this.#held.has('scaling_min_freq')) {
      this.#write('scaling_min_freq', String(Math.min(allowedMinKhz, khzOf(shown) ?? allowedMinKhz)));
    }
  }

  /** @returns true while a file is left to somebody else */
  #yields(): boolean {
    if (this.#yield === null) return false;
    if (this.#surroundings.clock.monotonicNs() < this.#yield.untilNs) return true;
    this.#budget.spend();
    this.#resume();
    return false;
  }

  #resume(): void {
    this.#yield = null;
    this.#forget();
  }

  #write(file: PolicyFile, text: string): boolean {
    const { tree } = this.#surroundings;
    const held = this.#held.get(file)!;
    const { path } = held;
    // A request that the kernel has already changes nothing (amd-pstate hides one when boost is switched): another first.
    const another = held.requested === text && held.shown !== text ? anotherThan(file, text) : null;
    if (another !== null) tree.write(path, another);
    let result = tree.write(path, text);
    // The driver is being exchanged (intel_pstate answers so): once more.
    if (!result.ok && result.errno === 'EAGAIN') result = tree.write(path, text);
    this.#writes += 1;
    if (!result.ok) {
      held.wrote = null;
      this.#fail(file, 'write', `write ${text} to ${file}: ${result.errno}`, result.errno);
      return false;
    }
    this.#works(file, 'write');
    held.wrote = text;
    held.requested = text;
    held.settling = true;
    held.before = held.shown;
    held.passing = another;
    return true;
  }

  #read(file: PolicyFile, path: string): string | null {
    const result = this.#surroundings.tree.read(path);
    if (!result.ok) {
      this.#fail(file, 'read', `read ${file}: ${result.errno}`, result.errno);
      return null;
    }
    this.#works(file, 'read');
    return result.value;
  }

  #fail(file: PolicyFile, operation: 'read' | 'write', detail: string, errno: Errno): void {
    // A preference is busy under governor `performance`, too.
    const otherwiseBusy = errno === 'EBUSY' && file === 'energy_performance_preference';
    this.#failure = { detail, errno, gone: GONE.has(errno) && !otherwiseBusy };
    this.#failing[operation].add(file);
    this.#failures += 1;
    this.#restFor = Math.min(LONGEST_REST, 2 ** (this.#failures - 1) - 1);
    this.#surroundings.disturbances.begin('failure', this.#path(file), detail);
  }

  #works(file: PolicyFile, operation: 'read' | 'write'): void {
    if (this.#failures === 0) return;
    const { read, write } = this.#failing;
    if (!this.#failing[operation].delete(file)) return;
    if (!read.has(file) && !write.has(file)) this.#surroundings.disturbances.end('failure', this.#path(file));
    if (read.size + write.size === 0) this.#recovered();
  }

  #recovered(): void {
    this.#failing.read.clear();
    this.#failing.write.clear();
    this.#failures = 0;
    this.#restFor = 0;
    this.#failure = null;
  }

  #undisturbed(held: Held): void {
    held.insisted = null;
    this.#surroundings.disturbances.end('foreign-writer', held.path);
    this.#surroundings.disturbances.end('limit', held.path);
  }

  #shownMaxKhz(): number | null {
    const result = this.#surroundings.tree.read(this.#path('scaling_max_freq'));
    return result.ok ? khzOf(result.value) : null;
  }

  #countsFor(file: PolicyFile, shown: string | null): KiloHertz | null {
    if (file !== 'energy_performance_preference') return khzOf(shown);
    return shown === null ? null : preferenceKhz(this.info, shown);
  }

  #path(file: PolicyFile): string {
    return `${this.#directory}/${file}`;
  }
}

const isRange = (file: PolicyFile) => file === 'scaling_max_freq' || file === 'scaling_min_freq';

function khzOf(text: string | null): KiloHertz | null {
  const khz = text === null ? NaN : Number.parseInt(text, 10);
  return Number.isNaN(khz) ? null : kiloHertz(khz);
}
