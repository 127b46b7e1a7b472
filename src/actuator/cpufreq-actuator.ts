import type { Actuator, Applied, OnExit, RestoredControl } from '../core/actuator.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { ActuatorError } from '../core/errors.ts';
import type { OperatingPoint } from '../core/machine.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { readBootId } from './boot-id.ts';
import { findBoostSwitch, type BoostChoice } from './boost-switch.ts';
import { CoresSession, type CoresOptions } from './cores-session.ts';
import { kernelOwners, type CpuOwners } from './cpu-owners.ts';
import { discoverDomains, isLeftAlone, machineOf, type PolicyInfo } from './discover-machine.ts';
import type { ActuatorLog } from './disturbances.ts';
import { DEFAULT_FOREIGN_WRITER, runningCommands, type ForeignWriterResponse } from './foreign-writers.ts';
import { canGovernCores } from './affinity-methods.ts';
import { chooseMethod, FIRST_CHOICE, seenBy, type FrequencyMethod } from './frequency-method.ts';
import { FrequencySession } from './frequency-session.ts';
import { Journal, readJournal, refuseOther, type ControlRecord, type JournalHeader } from './journal.ts';
import { BOOST_ORDER, originalsOf, rangesOfOthers } from './policy-originals.ts';
import { identityOf } from './process-identity.ts';
import { restoreControls } from './restore.ts';

export interface CpufreqActuatorOptions {
  readonly tree: SysfsTree;
  /** null where nothing real is written, as in a dry run: there is nothing to restore after us. */
  readonly journalPath: string | null;
  readonly method: 'auto' | FrequencyMethod;
  readonly boost?: BoostChoice;
  readonly foreignWriter?: ForeignWriterResponse;
  readonly clock?: Clock;
  /** What /proc/PID/comm shows of every process: who may have written a file that we govern. */
  readonly listProcesses?: () => readonly string[];
  readonly log?: ActuatorLog;
  /**
   * Every policy is looked at for what others have done to it within this time, or whenever a point is applied where that is
   * less often; one that was written is read back at once. By default a second.
   */
  readonly lookRoundMs?: number;
  /** The CPUs of services; absent: they are not governed. */
  readonly cores?: CoresOptions;
  /** By default the kernel and systemd. */
  readonly owners?: CpuOwners;
  /** CPUs that no service may use: the frequency of none of them is set, unless their clock is another CPU's, too. */
  readonly leaveAlone?: () => readonly number[];
  /** Where no frequency can be set, the CPUs of services are governed alone; else that is an error. */
  readonly coresAlone?: boolean;
}

/** What `method` says where no frequency can be set. */
const NO_METHOD = 'none';
const DEFAULT_LOOK_ROUND_MS = 1000;

/**
 * Sets frequencies through cpufreq, and the CPUs of services. Before `engage` nothing is written but what a daemon that died
 * here has left to restore: the operator's ranges must show before they are read.
 *
 * @throws ActuatorError `no-cpufreq` where nothing can be governed, `already-governed`, `journal-failed`
 */
export function createCpufreqActuator(options: CpufreqActuatorOptions): Actuator {
  const { tree, journalPath, boost = 'leave', clock = systemClock, log = () => undefined } = options;
  const { foreignWriter = DEFAULT_FOREIGN_WRITER, owners = kernelOwners } = options;
  const { lookRoundMs = DEFAULT_LOOK_ROUND_MS } = options;
  const { listProcesses = () => runningCommands((message) => log('warn', message)) } = options;
  const header = headerOfThisProcess(tree);
  const leftovers = restoreLeftovers();
  const { leaveAlone = () => [] } = options;
  const ours = (policy: PolicyInfo) => (isLeftAlone(tree, policy, leaveAlone()) ? null : policy);
  const policies = discoverDomains(tree, ours).flatMap((domain) => domain.policies);
  const coresAlone = options.coresAlone === true && policies.length === 0 && canGovernCores(tree);
  const method = coresAlone ? FIRST_CHOICE : chooseMethod(options.method, policies, tree.root);
  let machine = machineOf(
    tree,
    discoverDomains(tree, (policy) => ours(seenBy(method, policy))),
  );
  let engaged: Engaged | null = null;

  function engage(): void {
    const originals = policies.flatMap((policy) => originalsOf(tree, policy, method) ?? []);
    const held = new Set(leftovers.map(({ control }) => control));
    const boostSwitch = switchToHold(originals);
    if (boostSwitch !== null) {
      originals.push({ control: boostSwitch.path, original: boostSwitch.shown, order: BOOST_ORDER });
    }
    const records = [...leftovers, ...originals.filter(({ control }) => !held.has(control))];
    const journal = journalPath === null ? null : Journal.create(journalPath, header, records);
    try {
      const boostHeld =
        boostSwitch === null || boost === 'leave' ? null : { path: boostSwitch.path, text: boostSwitch.textOf(boost) };
      // It decides about the ranges, which the session reads.
      if (boostHeld !== null && boostHeld.text !== boostSwitch?.shown) setBoost(boostHeld.path, boostHeld.text);
      const operatorMaxKhz = new Map(policies.map(({ id, originalMaxKhz }) => [id, originalMaxKhz]));
      const surroundings = { tree, clock, method, foreignWriter, listProcesses, log, lookRoundMs, leaveAlone };
      const session = new FrequencySession({ ...surroundings, journal, records, operatorMaxKhz, boost: boostHeld });
      if (!coresAlone) session.takeAll();
      const cores =
        options.cores === undefined
          ? null
          : new CoresSession({ ...options.cores, tree, owners, clock, foreignWriter, log, journal });
      engaged = { journal, session, cores };
    } catch (error) {
      giveBack(journal, records);
      throw error;
    }
  }

  /**
   * Boost moves the range of every policy, also of one that cannot be governed: its range is added to the originals.
   * @returns null where boost stays as it is
   */
  function switchToHold(originals: ControlRecord[]): ReturnType<typeof findBoostSwitch> {
    if (boost === 'leave') return null;
    const refuse = (why: string) => {
      log('warn', `${why}: it stays as it is, "${boost}" was asked for`);
      return null;
    };
    const found = findBoostSwitch(tree);
    if (found === null) return refuse(`no switch of boost below ${tree.root}`);
    const others = rangesOfOthers(tree, originals);
    if ('errno' in others) return refuse(`boost moves ${others.path}, which cannot be read (${others.errno})`);
    originals.push(...others);
    return found;
  }

  /** @throws ActuatorError `engage-failed` */
  function setBoost(path: string, text: string): void {
    const write = tree.write(path, text);
    const reads = tree.read(path);
    if (write.ok && reads.ok && reads.value === text) return;
    const state = write.ok ? `reads ${reads.ok ? reads.value : reads.errno}` : write.errno;
    throw new ActuatorError('engage-failed', `switch boost ${boost}: write ${text} to ${tree.root}/${path}: ${state}`);
  }

  /** What cannot be restored now (the policy of an offline CPU) goes into the next journal. */
  function restoreLeftovers(): readonly ControlRecord[] {
    const before = journalPath === null ? null : readJournal(journalPath);
    if (journalPath === null || before === null) return [];
    const { bootId, pid, sysfsRoot } = before.header;
    refuseOther(journalPath, before.header, header);
    if (bootId !== header.bootId) return [];
    if (sysfsRoot !== header.sysfsRoot) {
      const state = `${journalPath} still holds controls below ${sysfsRoot}; run "tailgov restore" first`;
      throw new ActuatorError('journal-failed', `take the controls below ${tree.root}: ${state}`);
    }
    const results = restoreControls(tree, before.records, owners);
    const failed = results.filter(({ outcome }) => outcome === 'failed').map(({ control }) => control);
    log(
      'warn',
      `restored ${results.length - failed.length} of ${results.length} controls that process ${pid} had left`,
    );
    for (const line of before.damagedLines) log('warn', `${journalPath}:${line}: no journal record, passed over`);
    return before.records.filter(({ control }) => failed.includes(control));
  }

  function giveBack(journal: Journal | null, records: readonly ControlRecord[]): readonly RestoredControl[] {
    const results = restoreControls(tree, records, owners);
    if (results.every(({ outcome }) => outcome !== 'failed')) journal?.remove();
    return results;
  }

  function release(onExit: OnExit): readonly RestoredControl[] {
    if (engaged === null) return [];
    const { journal, session, cores } = engaged;
    const cpus = cores?.records ?? [];
    machine = session.machine;
    engaged = null;
    switch (onExit) {
      case 'original':
        return giveBack(journal, [...session.records, ...cpus]);
      case 'leave':
        return giveBack(journal, []);
      case 'max': {
        // Boost that we have switched on is part of full speed.
        const switchedOff = boost === 'off' ? session.records.filter(({ order }) => order === BOOST_ORDER) : [];
        return giveBack(journal, [...switchedOff, ...session.fullSpeed, ...cpus]);
      }
    }
  }

  /** CPUs first: a service that is given more of them has them before it is slower. */
  function applyTo({ session, cores }: Engaged, point: OperatingPoint): Applied {
    const granted = cores?.apply(point) ?? null;
    const applied = session.apply(point);
    if (granted === null) return applied;
    return { ...applied, cpus: granted.cpus, writes: applied.writes + granted.writes };
  }

  return {
    get machine() {
      return engaged?.session.machine ?? machine;
    },
    method: coresAlone ? NO_METHOD : method,
    engage,
    apply(point) {
      if (engaged !== null) return applyTo(engaged, point);
      throw new Error('apply a point: engage() comes first, so that the originals are in the journal');
    },
    release,
  };
}

interface Engaged {
  readonly journal: Journal | null;
  readonly session: FrequencySession;
  readonly cores: CoresSession | null;
}

function headerOfThisProcess(tree: SysfsTree): JournalHeader {
  const self = identityOf(process.pid);
  if (self === null) throw new ActuatorError('journal-failed', `read /proc/${process.pid}/stat: no such process`);
  return { version: 1, bootId: readBootId(), ...self, sysfsRoot: tree.root };
}
