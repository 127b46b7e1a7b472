import { isDeepStrictEqual } from 'node:util';
import { messageOf, PolicyError, UsageError } from '../core/errors.ts';
import type { ConfigLoader, LoadedConfig } from '../policy/config-loader.ts';
import type { Config } from '../policy/load-config.ts';
import { FileWatch } from '../policy/watch-files.ts';
import { writePolicyPath } from '../policy/write-policy-path.ts';
import type { ChangeStatus, PolicyInUse, PolicySwap } from '../telemetry/daemon-status.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Lease } from './lease.ts';

export interface ReloaderOptions {
  readonly loader: ConfigLoader;
  /** What runs at the start. */
  readonly running: LoadedConfig;
  /** Hands a checked config over to the loop. Rejects when it cannot go over to it, and what ran goes on. */
  readonly apply: (loaded: LoadedConfig) => Promise<void>;
  readonly log: Logger;
  readonly wallMs: () => number;
}

const FILE_CHANGED = 'a file has changed';
const SWAP_BACK_PAUSE_MS = 5000;

/** By service: a policy that was swapped in, and the one that the config named then. It is over when that changes. */
type SwappedIn = Readonly<Record<string, { readonly file: string; readonly configured: string }>>;

/**
 * Keeps what runs in step with the files on disk, and with the policies that are swapped in. A change is read and checked
 * here, as a whole; the loop is then handed the very texts that were checked. What is bad changes nothing, and is said once.
 */
export class Reloader {
  readonly #options: ReloaderOptions;
  readonly #watch: FileWatch;
  #running: LoadedConfig;
  #swappedIn: SwappedIn = {};
  /** Of policies that were swapped in for a time: by service, with what was swapped in before; absent: nothing was. */
  readonly #leases = new Map<string, { readonly lease: Lease; readonly before?: SwappedIn[string] }>();
  #policies: readonly PolicyInUse[] = [];
  #made = 0;
  #refused = 0;
  #refusal: ChangeStatus['refusal'] = null;
  /** What was asked of the daemon at its start and cannot be changed while it runs. */
  readonly #atStart: Config;
  #needsRestart: readonly string[] = [];
  /** One change after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#running = options.running;
    this.#atStart = options.running.config;
    this.#policies = this.#policiesIn(options.running.config);
    this.#watch = new FileWatch({ onChange: () => void this.reload(FILE_CHANGED) });
  }

  /** From now on the files are watched: what has changed since they were read counts, too. */
  start(): void {
    this.#watch.watch(new Map(Object.entries(this.#running.sources.texts)));
  }

  status(): ChangeStatus {
    return {
      made: this.#made,
      refused: this.#refused,
      refusal: this.#refusal,
      needsRestart: this.#needsRestart,
      policies: this.#policies.map((policy) => ({ ...policy, ...this.#endOf(policy) })),
    };
  }

  /** A lease says nothing of a policy that the config has put in the place of the one that it is for. */
  #endOf({ service, file }: PolicyInUse): Pick<PolicyInUse, 'endsAt'> {
    const endsAt = this.#swappedIn[service]?.file === file ? this.#leases.get(service)?.lease.endsAt : null;
    return endsAt === null || endsAt === undefined ? {} : { endsAt: endsAt.toISOString() };
  }

  /** Reads the files again. Never rejects: what is wrong is logged, counted and shown in the status. */
  reload(why: string): Promise<void> {
    return this.#oneByOne(async () => {
      try {
        await this.#change(this.#swappedIn, why);
      } catch (error) {
        const problems = error instanceof PolicyError ? messageOf(error).split('\n') : [messageOf(error)];
        this.#refusal = { at: new Date(this.#options.wallMs()).toISOString(), problems };
        this.#options.log.error({ problems }, `${why}, and nothing is changed by it: what ran before still runs`);
      }
    });
  }

  /**
   * Puts another policy in a service's place.
   *
   * @param forMs what governed before comes back after so long, unless the same is asked again; null: it does not
   * @throws UsageError, PolicyError; and nothing has changed
   */
  swapPolicy(service: string, file: string, persist: boolean, forMs: number | null = null): Promise<PolicySwap> {
    return this.#oneByOne(async () => {
      const held = this.#leases.get(service);
      if (forMs !== null && held !== undefined && this.#swappedIn[service]?.file === file) {
        held.lease.hold(forMs);
        return { service, file, lasts: false };
      }
      const { services } = this.#running.config;
      const governed = services.find(({ name }) => name === service);
      if (governed === undefined) {
        const names = services.map(({ name }) => name).join(', ');
        throw new UsageError(`swap the policy of ${service}: no such service, expected ${names}`);
      }
      const swappedIn = { ...this.#swappedIn, [service]: { file, configured: governed.configuredPolicy } };
      const before = held === undefined ? this.#swappedIn[service] : held.before;
      const time = forMs === null ? '' : ` for ${forMs / 1000} s, unless that is renewed`;
      await this.#change(swappedIn, `policy ${file} is swapped in for ${service}${time}`);
      held?.lease.drop();
      this.#leases.delete(service);
      if (forMs !== null) {
        const lease = new Lease(this.#options, () => void this.#swapBack(service));
        lease.hold(forMs);
        this.#leases.set(service, { lease, ...(before === undefined ? {} : { before }) });
      }
      if (persist) await this.#persist(service, file);
      const { lasts } = this.#policies.find((policy) => policy.service === service)!;
      return { service, file, lasts };
    });
  }

  close(): void {
    for (const { lease } of this.#leases.values()) lease.drop();
    this.#watch.close();
  }

  /** The time of a swap is over. Where its way back is barred by a bad file, it is tried again and again. */
  #swapBack(service: string): Promise<void> {
    return this.#oneByOne(async () => {
      const over = this.#leases.get(service);
      if (over === undefined || over.lease.held) return;
      const { [service]: swapped, ...others } = this.#swappedIn;
      const back = over.before === undefined ? others : { ...others, [service]: over.before };
      try {
        await this.#change(back, `the time of ${swapped?.file ?? 'a policy'} for ${service} is over`);
        this.#leases.delete(service);
      } catch (error) {
        this.#options.log.error(`the time of a policy for ${service} is over, and it cannot go: ${messageOf(error)}`);
        over.lease.hold(SWAP_BACK_PAUSE_MS);
      }
    });
  }

  async #persist(service: string, file: string): Promise<void> {
    const { configFile } = this.#running.sources;
    try {
      writePolicyPath(configFile, service, file);
    } catch (cause) {
      const state = `${file} governs ${service} until a restart, but not after it`;
      throw new Error(`${state}: ${configFile} cannot be changed: ${messageOf(cause)}`, { cause });
    }
    await this.#change(this.#swappedIn, `${configFile} names ${file} for ${service}`);
  }

  #oneByOne<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#last.then(act);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** @throws PolicyError, and whatever the loop has against it; what ran goes on then */
  async #change(swappedIn: SwappedIn, why: string): Promise<void> {
    const { apply, log } = this.#options;
    const texts = new Map<string, string | null>();
    try {
      const read = this.#read(swappedIn, texts);
      const same = isDeepStrictEqual(read.loaded.sources, this.#running.sources);
      if (!same) await apply(read.loaded);
      this.#refusal = null;
      this.#policies = this.#policiesIn(read.loaded.config);
      this.#running = read.loaded;
      this.#swappedIn = read.swappedIn;
      if (!same) this.#made++;
      const waiting = needsRestart(this.#atStart, this.#running.config);
      this.#needsRestart = waiting;
      // A look at files that are what they were is nothing to tell, unless somebody asked for it.
      log[same && why === FILE_CHANGED ? 'debug' : 'info'](
        waiting.length === 0 ? {} : { needsRestart: waiting },
        `${why}: ${same ? 'nothing differs' : 'in force'}`,
      );
    } catch (error) {
      this.#refused++;
      throw error;
    } finally {
      // Those of a bad config, too: when one of them is put right it is tried again.
      this.#watch.watch(texts);
    }
  }

  /** @throws PolicyError */
  #read(swappedIn: SwappedIn, texts: Map<string, string | null>) {
    const { configFile } = this.#running.sources;
    const read = (wanted: SwappedIn): LoadedConfig => {
      const policyFiles = Object.fromEntries(Object.entries(wanted).map(([service, { file }]) => [service, file]));
      texts.clear();
      return this.#options.loader.read(configFile, policyFiles, (file, text) => void texts.set(file, text));
    };
    const loaded = read(swappedIn);
    const standing = Object.fromEntries(
      Object.entries(swappedIn).filter(([name, { file, configured }]) => {
        const service = loaded.config.services.find((candidate) => candidate.name === name);
        return service?.configuredPolicy === configured && file !== configured;
      }),
    );
    const same = isDeepStrictEqual(standing, swappedIn);
    return { loaded: same ? loaded : read(standing), swappedIn: standing };
  }

  /** @param config that takes over from the running one */
  #policiesIn(config: Config): readonly PolicyInUse[] {
    const now = new Date(this.#options.wallMs()).toISOString();
    return config.services.map(({ name, policy, configuredPolicy }): PolicyInUse => {
      const before = this.#running.config.services.find((service) => service.name === name);
      const since = this.#policies.find(({ service }) => service === name)?.since;
      return {
        service: name,
        file: policy.file,
        controller: policy.controllerName,
        since: before?.policy === policy && since !== undefined ? since : now,
        lasts: policy.file === configuredPolicy,
      };
    });
  }
}

/** What differs and is not looked at again until a restart, by its key in the config. */
function needsRestart(atStart: Config, now: Config): readonly string[] {
  const fixed = ({
    mode,
    frequency: { minKhz: _, maxKhz: __, ...frequency },
    affinity,
    telemetry,
    runtimeDirectory,
  }: Config) => ({
    mode,
    'actuators.frequency': frequency,
    'actuators.affinity': affinity,
    telemetry,
    runtimeDirectory,
  });
  const before: Readonly<Record<string, unknown>> = fixed(atStart);
  return Object.entries(fixed(now)).flatMap(([key, value]) => (isDeepStrictEqual(before[key], value) ? [] : [key]));
}
