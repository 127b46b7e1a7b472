import type { Applied, AppliedFrequency, WriteOutcome } from '../core/actuator.ts';
import type { Clock } from '../core/clock.ts';
import { ActuatorError, messageOf } from '../core/errors.ts';
import type { FrequencyDomain, Machine, OperatingPoint } from '../core/machine.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { kiloHertz, type KiloHertz, NS_PER_MS, NS_PER_S } from '../core/units.ts';
import { CPU_DIRECTORY, MAX_PERF_PCT, policyDirectory } from '../sysfs/cpufreq-paths.ts';
import { discoverDomains, isLeftAlone, machineOf, type DomainPolicies, type PolicyInfo } from './discover-machine.ts';
import { Disturbances, type ActuatorLog } from './disturbances.ts';
import { OverrideBudget, suspectsAmong, type ForeignWriterResponse } from './foreign-writers.ts';
import { FrequencyLimits } from './frequency-limits.ts';
import { METHOD_KINDS, offers, seenBy, type FrequencyMethod } from './frequency-method.ts';
import { GovernedPolicy, type PolicyApplication, type PolicySurroundings } from './governed-policy.ts';
import type { ControlRecord, Journal } from './journal.ts';
import { fullSpeedOf, originalsOf } from './policy-originals.ts';
import { throttledApplication, type Throttled } from './throttling.ts';

export interface SessionParts {
  readonly tree: SysfsTree;
  readonly clock: Clock;
  readonly method: FrequencyMethod;
  readonly foreignWriter: ForeignWriterResponse;
  readonly listProcesses: () => readonly string[];
  readonly log: ActuatorLog;
  /** Every policy is looked at within this time, or in every application where these are less frequent. */
  readonly lookRoundMs: number;
  /** null where there is nothing to restore after us. */
  readonly journal: Journal | null;
  /** What the journal holds. */
  readonly records: readonly ControlRecord[];
  /** By policy: the operator's maximum before anything was switched. */
  readonly operatorMaxKhz: ReadonlyMap<string, KiloHertz>;
  /** CPUs that no service may use at present. */
  readonly leaveAlone: () => readonly number[];
  /** The switch of boost and our text in it, where the config says something about it. */
  readonly boost: { readonly path: string; readonly text: string } | null;
}

/** Worst first: a domain's outcome is the worst of its policies'. */
const SEVERITY: readonly WriteOutcome[] = ['refused', 'yielded', 'clamped', 'applied', 'unchanged'];
const LEAST_LOOKS = 8;
const NO_LOOKS: ReadonlySet<string> = new Set();
/** A policy that answers as if it had gone is looked for at once, then ever less often while the machine stays the same. */
const FIRST_SEARCH_NS = BigInt(NS_PER_S);
const LONGEST_SEARCH_NS = BigInt(60 * NS_PER_S);
const ONLINE = `${CPU_DIRECTORY}/online`;
/** Errors that no waiting ends. */
const FORBIDDEN: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);

/** A domain in an application, and its policies between the halves of it. */
interface Aimed {
  readonly domain: FrequencyDomain;
  readonly askedKhz: KiloHertz;
  readonly policies: readonly GovernedPolicy[];
}

/** The frequencies of a machine from when they are taken to when they are given back. */
export class FrequencySession {
  readonly #parts: SessionParts;
  readonly #surroundings: PolicySurroundings;
  readonly #disturbances: Disturbances;
  readonly #boostBudget: OverrideBudget;
  readonly #records: ControlRecord[];
  /** By id: every policy that was taken, also those that are away. */
  readonly #policies = new Map<string, GovernedPolicy>();
  /** As of their last looks, those that are. */
  readonly #throttled = new Map<string, Throttled>();
  /** By domain: what came of it, while none of its policies has to be gone through again for the same frequency. */
  readonly #standing = new Map<string, AppliedFrequency>();
  #domains: readonly DomainPolicies[] = [];
  /** The policies of these domains, by id. */
  #present: ReadonlySet<string> = new Set();
  #machine: Machine;
  /** What came of the last application. */
  #last: Applied | null = null;
  /** When policies were last looked at, and whose turn is next. */
  #lookedAtNs: bigint | null = null;
  #cursor = 0;
  /** When it was last looked at what all policies have in common. */
  #commonAtNs: bigint | null = null;
  /** What active intel_pstate's `max_perf_pct` leaves of the maximum: unlike other limits it does not show in the range. */
  #maxPercent = 100;
  #online: string | null;
  #leftAlone: string;
  #searchPauseNs = FIRST_SEARCH_NS;
  #searchAtNs = 0n;

  constructor(parts: SessionParts) {
    const { tree, clock, log, method, foreignWriter, records, operatorMaxKhz } = parts;
    this.#parts = parts;
    this.#disturbances = new Disturbances(clock, log);
    this.#boostBudget = new OverrideBudget(foreignWriter, clock);
    this.#surroundings = { ...parts, limits: new FrequencyLimits(tree, clock), disturbances: this.#disturbances };
    this.#records = [...records];
    this.#setDomains(
      discoverDomains(tree, (info) => {
        if (isLeftAlone(tree, info, parts.leaveAlone())) return null;
        return seenBy(method, boundedBy(info, operatorMaxKhz.get(info.id) ?? info.allowedMaxKhz));
      }),
    );
    this.#machine = machineOf(tree, this.#domains);
    this.#online = this.#readOnline();
    this.#leftAlone = parts.leaveAlone().join();
  }

  get machine(): Machine {
    return this.#machine;
  }

  /** Every original that is to be put back. */
  get records(): readonly ControlRecord[] {
    return this.#records;
  }

  /** What every policy is to have at full speed. */
  get fullSpeed(): readonly ControlRecord[] {
    return [...this.#policies.values()].flatMap(({ info }) => fullSpeedOf(info, this.#parts.method));
  }

  /**
   * To full speed: slower comes later.
   * @throws ActuatorError `engage-failed` where a write is forbidden, or no policy can be taken
   */
  takeAll(): void {
    const { tree, method } = this.#parts;
    const journaled = new Set(this.#records.map(({ control }) => control));
    const hasOriginals = ({ id }: PolicyInfo) =>
      originalFiles(method).every((file) => journaled.has(`${policyDirectory(id)}/${file}`));
    // A read that failed since may have left one without what the method needs: it is looked for like one that comes later.
    const policies = policiesOf(this.#domains)
      .filter((info) => hasOriginals(info) && offers(method, info))
      .map((info) => this.#govern(info));
    for (const policy of policies) policy.aim(policy.info.allowedMaxKhz, false);
    for (const policy of policies) policy.outcome();
    const refusals = policies.flatMap(({ refusal, info }) => (refusal === null ? [] : [{ ...refusal, id: info.id }]));
    const forbidden = refusals.find(({ errno }) => FORBIDDEN.has(errno));
    const fatal = forbidden ?? (refusals.length === policies.length ? refusals[0] : undefined);
    if (policies.length > 0 && fatal === undefined) return;
    const why = fatal === undefined ? 'no original could be read' : `${fatal.id}: ${fatal.detail}`;
    const hint = fatal?.errno === 'EROFS' ? ' (read-only, as in a container or under ProtectKernelTunables=)' : '';
    throw new ActuatorError('engage-failed', `take the controls below ${tree.root}: ${why}${hint}`);
  }

  apply(point: OperatingPoint): Applied {
    const nowNs = this.#parts.clock.monotonicNs();
    const due = this.#looks(nowNs);
    if (due === null && this.#last !== null && this.#stands(point)) return this.#last;
    const looks = due ?? NO_LOOKS;
    this.#noticeMachine(nowNs);
    if (this.#commonAtNs === null || msBetween(this.#commonAtNs, nowNs) >= this.#parts.lookRoundMs) {
      this.#commonAtNs = nowNs;
      this.#checkBoost();
      this.#checkMaxPercent();
    }
    this.#lookForThrottling(looks);
    const aimed = this.#domains.flatMap(({ domain, policies: members }): readonly (Aimed | AppliedFrequency)[] => {
      const askedKhz = point.frequencyKhz[domain.id];
      if (askedKhz === undefined) return [];
      const standing = this.#standing.get(domain.id);
      if (standing?.askedKhz === askedKhz && !members.some((member) => looks.has(member.id))) return [standing];
      const policies = members.flatMap((member) => this.#policies.get(member.id) ?? []);
      for (const policy of policies) policy.aim(askedKhz, looks.has(policy.info.id));
      return [{ domain, askedKhz, policies }];
    });
    let writes = 0;
    const frequencies = aimed.map((each): AppliedFrequency => {
      if ('outcome' in each) return each;
      const { domain, askedKhz, policies } = each;
      const ceilingKhz = kiloHertz(Math.floor((domain.maxKhz * this.#maxPercent) / 100));
      const applications = policies.map((policy) => {
        return throttledApplication(policy.info, policy.outcome(), this.#throttled.get(policy.info.id) ?? null);
      });
      for (const application of applications) writes += application.writes;
      const applied = bounded(domainOutcome(domain.id, askedKhz, applications), ceilingKhz);
      if (policies.every((policy) => policy.atRest)) this.#standing.set(domain.id, applied);
      else this.#standing.delete(domain.id);
      return applied;
    });
    const absent = this.#absent(point);
    this.#last = {
      point,
      frequencies: absent.length === 0 ? frequencies : [...frequencies, ...absent],
      writes,
      disturbances: this.#disturbances.present,
      disturbanceCounts: this.#disturbances.counts,
    };
    return this.#last;
  }

  /** The machine was at this point when it was last looked at, and nothing is left to be done for it. */
  #stands(point: OperatingPoint): boolean {
    const governed = this.#domains.length;
    if (this.#last!.writes !== 0 || this.#standing.size !== governed) return false;
    if (point === this.#last!.point) return true;
    const { frequencyKhz } = point;
    const asked = Object.keys(frequencyKhz);
    return asked.length === governed && asked.every((id) => this.#standing.get(id)?.askedKhz === frequencyKhz[id]);
  }

  #setDomains(domains: readonly DomainPolicies[]): void {
    this.#domains = domains;
    this.#present = idsOf(domains);
    this.#standing.clear();
  }

  #govern(info: PolicyInfo): GovernedPolicy {
    const policy = new GovernedPolicy(info, this.#surroundings);
    this.#policies.set(info.id, policy);
    return policy;
  }

  /**
   * The policies whose turn it is to be looked at: as large a share of them as of the round has passed, and several together,
   * since one by one each would take several times as long.
   * @returns null while it is nobody's turn; a machine without policies has a turn of its own once a round
   */
  #looks(nowNs: bigint): ReadonlySet<string> | null {
    const { lookRoundMs } = this.#parts;
    const { size } = this.#policies;
    const passedMs = this.#lookedAtNs === null ? Infinity : msBetween(this.#lookedAtNs, nowNs);
    const count = passedMs >= lookRoundMs ? size : Math.ceil((size * passedMs) / lookRoundMs);
    const isTurn = passedMs >= lookRoundMs || (size > 0 && count >= Math.min(size, LEAST_LOOKS));
    if (!isTurn) return null;
    this.#lookedAtNs = nowNs;
    const ids = [...this.#policies.keys()];
    const turn = Array.from({ length: count }, (_, index) => ids[(this.#cursor + index) % size]!);
    this.#cursor = size === 0 ? 0 : (this.#cursor + count) % size;
    return new Set(turn);
  }

  #lookForThrottling(looks: ReadonlySet<string>): void {
    const { limits } = this.#surroundings;
    for (const id of looks) {
      const policy = this.#policies.get(id)!;
      const throttled = policy.lost ? null : limits.throttling.look(policy.info);
      const control = `${policyDirectory(id)}/scaling_cur_freq`;
      if (throttled === null) {
        this.#throttled.delete(id);
        this.#disturbances.end('limit', control);
      } else {
        this.#throttled.set(id, throttled);
        this.#disturbances.begin('limit', control, throttled.detail, throttled.rose);
      }
    }
  }

  /** CPUs go and come, and drivers can be exchanged: what can be governed is found anew. */
  #noticeMachine(nowNs: bigint): void {
    const online = this.#readOnline();
    const leftAlone = this.#parts.leaveAlone().join();
    const plugged = online !== this.#online || leftAlone !== this.#leftAlone;
    if (!plugged && (nowNs < this.#searchAtNs || !this.#isIncomplete())) return;
    const before = JSON.stringify(this.#domains);
    this.#discoverAgain();
    this.#online = online;
    this.#leftAlone = leftAlone;
    if (plugged || JSON.stringify(this.#domains) !== before) {
      this.#searchPauseNs = FIRST_SEARCH_NS;
      this.#machine = machineOf(this.#parts.tree, this.#domains);
    } else {
      this.#searchPauseNs = min(this.#searchPauseNs * 2n, LONGEST_SEARCH_NS);
    }
    this.#searchAtNs = nowNs + this.#searchPauseNs;
  }

  #isIncomplete(): boolean {
    for (const [id, { lost }] of this.#policies) if (lost || !this.#present.has(id)) return true;
    return this.#present.size > this.#policies.size;
  }

  #discoverAgain(): void {
    const were = this.#present;
    const returned: GovernedPolicy[] = [];
    const domains = discoverDomains(this.#parts.tree, (info) => {
      const known = this.#policies.get(info.id);
      // One that is ours stays so until the end: its original is put back then.
      if (known === undefined && isLeftAlone(this.#parts.tree, info, this.#parts.leaveAlone())) return null;
      if (known === undefined || known.info.driver !== info.driver)
        return this.#takeNewcomer(seenBy(this.#parts.method, info));
      if (!were.has(info.id) || known.lost) returned.push(known);
      // What its range reads now is ours; what the operator allows was seen before we came.
      return { ...known.info, cpus: info.cpus };
    });
    this.#setDomains(domains);
    for (const policy of this.#boostStands() ? returned : this.#policies.values()) policy.returned();
    for (const id of this.#policies.keys()) {
      const control = policyDirectory(id);
      if (this.#present.has(id)) {
        this.#disturbances.end('machine', control);
      } else if (were.has(id)) {
        this.#disturbances.forget(control);
        const detail = `gone, with its CPUs or its driver; CPUs ${this.#readOnline()} are online`;
        this.#disturbances.begin('machine', control, detail);
      }
    }
  }

  /** @returns null where its originals cannot be read and written down, so that the policy must not be touched */
  #takeNewcomer(info: PolicyInfo): PolicyInfo | null {
    const { tree, method, journal, log } = this.#parts;
    const control = policyDirectory(info.id);
    const refuse = (detail: string) => {
      this.#disturbances.begin('failure', control, `not governed: ${detail}`, false);
      return null;
    };
    if (!offers(method, info)) return refuse(`${info.driver} does not offer the method ${method}`);
    const originals = originalsOf(tree, info, method);
    if (originals === null) return refuse('its originals cannot be read');
    try {
      journal?.append(originals);
    } catch (error) {
      return refuse(messageOf(error));
    }
    this.#records.push(...originals);
    this.#disturbances.end('failure', control);
    this.#govern(info);
    log('info', `governing ${info.id} (${info.driver}), too`);
    return info;
  }

  /**
   * amd-pstate (Linux 6.1) switches boost on for the whole machine when a CPU comes: no foreign writer.
   * @returns false where it had to be switched again, which moves the ranges of all policies
   */
  #boostStands(): boolean {
    const { boost, tree } = this.#parts;
    const reads = boost === null ? null : tree.read(boost.path);
    if (boost === null || reads?.ok !== true || reads.value === boost.text) return true;
    const write = tree.write(boost.path, boost.text);
    if (!write.ok) this.#disturbances.begin('failure', boost.path, `write ${boost.text}: ${write.errno}`);
    return false;
  }

  #checkBoost(): void {
    const { boost, tree, listProcesses } = this.#parts;
    if (boost === null) return;
    const { path, text } = boost;
    const reads = tree.read(path);
    if (!reads.ok || reads.value === text) {
      this.#disturbances.end('foreign-writer', path);
      return;
    }
    const overrides = this.#boostBudget.spend();
    const response = overrides ? 'written again' : 'left alone for a while';
    const detail = `somebody else writes it: wrote ${text}, reads ${reads.value}; ${suspectsAmong(listProcesses())}; ${response}`;
    this.#disturbances.begin('foreign-writer', path, detail, overrides);
    const write = overrides ? tree.write(path, text) : null;
    if (write?.ok === false) this.#disturbances.begin('failure', path, `write ${text}: ${write.errno}`);
  }

  /** Not ours to write: see "Global Attributes" in Documentation/admin-guide/pm/intel_pstate.rst. */
  #checkMaxPercent(): void {
    const hidden = policiesOf(this.#domains).some(({ driver }) => driver === 'intel_pstate');
    const reads = hidden ? this.#parts.tree.read(MAX_PERF_PCT) : null;
    const percent = reads?.ok === true ? Number.parseInt(reads.value, 10) : 100;
    const before = this.#maxPercent;
    this.#maxPercent = Number.isNaN(percent) ? 100 : percent;
    if (this.#maxPercent !== before) this.#standing.clear();
    if (this.#maxPercent >= 100) this.#disturbances.end('limit', MAX_PERF_PCT);
    else this.#disturbances.begin('limit', MAX_PERF_PCT, `reads ${percent}: no CPU runs at more of its maximum`, false);
  }

  /** Of domains that the point names and the machine has no more. */
  #absent(point: OperatingPoint): readonly AppliedFrequency[] {
    const asked = Object.entries(point.frequencyKhz);
    // In the order of the machine, as a planner makes it.
    if (asked.every(([id], index) => this.#domains[index]?.domain.id === id)) return [];
    const present = new Set(this.#domains.map(({ domain }) => domain.id));
    return asked
      .filter(([id]) => !present.has(id))
      .map(([domain, askedKhz]) => {
        return { domain, askedKhz, appliedKhz: null, outcome: 'refused', detail: `${domain}: gone from this machine` };
      });
  }

  #readOnline(): string | null {
    const result = this.#parts.tree.read(ONLINE);
    return result.ok ? result.value : null;
  }
}

/** The files whose originals must be known. A speed has none but under governor userspace. */
const originalFiles = (method: FrequencyMethod) =>
  METHOD_KINDS[method].files.filter((file) => file !== 'scaling_setspeed');

function bounded(applied: AppliedFrequency, ceilingKhz: KiloHertz): AppliedFrequency {
  if (applied.appliedKhz === null || applied.appliedKhz <= ceilingKhz) return applied;
  const detail = [applied.detail, `max_perf_pct allows ${ceilingKhz}`].filter((text) => text !== undefined).join('; ');
  const outcome = applied.outcome === 'refused' || applied.outcome === 'yielded' ? applied.outcome : 'clamped';
  return { ...applied, appliedKhz: ceilingKhz, outcome, detail };
}

/** A switch of boost may show a range that is wider than the operator's. */
function boundedBy(info: PolicyInfo, maxKhz: KiloHertz): PolicyInfo {
  const allowedMaxKhz = kiloHertz(Math.min(info.allowedMaxKhz, maxKhz));
  return { ...info, allowedMaxKhz, allowedMinKhz: kiloHertz(Math.min(info.allowedMinKhz, allowedMaxKhz)) };
}

const policiesOf = (domains: readonly DomainPolicies[]) => domains.flatMap(({ policies }) => policies);

const idsOf = (domains: readonly DomainPolicies[]) => new Set(policiesOf(domains).map(({ id }) => id));

const msBetween = (fromNs: bigint, toNs: bigint) => Number(toNs - fromNs) / NS_PER_MS;

const min = (a: bigint, b: bigint) => (a < b ? a : b);

function domainOutcome(
  domain: string,
  askedKhz: KiloHertz,
  applications: readonly PolicyApplication[],
): AppliedFrequency {
  const details: string[] = [];
  let appliedKhz: KiloHertz | null = null;
  let worst = SEVERITY.indexOf('unchanged');
  for (const application of applications) {
    // The clocks of a domain follow its highest demand.
    if (application.appliedKhz !== null && application.appliedKhz >= (appliedKhz ?? 0)) ({ appliedKhz } = application);
    worst = Math.min(worst, SEVERITY.indexOf(application.outcome));
    if (application.detail !== undefined) details.push(application.detail);
  }
  const applied = { domain, askedKhz, appliedKhz, outcome: SEVERITY[worst]! };
  return details.length === 0 ? applied : { ...applied, detail: details.join('; ') };
}
