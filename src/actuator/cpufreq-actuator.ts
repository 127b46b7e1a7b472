import type { Actuator, Applied, AppliedFrequency, OnExit, RestoredControl, WriteOutcome } from '../core/actuator.ts';
import { ActuatorError } from '../core/errors.ts';
import type { FrequencyDomain, OperatingPoint } from '../core/machine.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { kiloHertz, type KiloHertz } from '../core/units.ts';
import { policyDirectory } from '../sysfs/cpufreq-paths.ts';
import { readBootId } from './boot-id.ts';
import { discoverDomains, machineOf, type PolicyInfo } from './discover-machine.ts';
import { Journal, readJournal, refuseOther, type ControlRecord, type JournalHeader } from './journal.ts';
import { identityOf } from './process-identity.ts';
import { restoreControls } from './restore.ts';

/** `cap`: governor `performance`, which runs at `scaling_max_freq`. */
export type FrequencyMethod = 'cap';

export interface CpufreqActuatorOptions {
  readonly tree: SysfsTree;
  /** null where nothing real is written, as in a dry run: there is nothing to restore after us. */
  readonly journalPath: string | null;
  readonly method: 'auto' | FrequencyMethod;
  readonly log?: (level: 'info' | 'warn', message: string) => void;
}

/** Back to full speed first; a preference only once the governor that hid it has gone. */
const RESTORE_ORDER = { scaling_max_freq: 1, scaling_governor: 2, energy_performance_preference: 3 } as const;
type ControlFile = keyof typeof RESTORE_ORDER;

/** Worst first: a domain's outcome is the worst of its policies'. */
const SEVERITY: readonly WriteOutcome[] = ['refused', 'clamped', 'applied', 'unchanged'];

interface PolicyApplication {
  readonly outcome: WriteOutcome;
  readonly appliedKhz: KiloHertz | null;
  readonly wrote: boolean;
  readonly detail?: string;
}

/**
 * Sets frequencies through cpufreq. Before `engage` nothing is written but what a daemon that died here has left to restore:
 * the operator's ranges must show before they are read.
 * @throws ActuatorError `no-cpufreq` where nothing can be governed, `already-governed`, `journal-failed`
 */
export function createCpufreqActuator({ tree, journalPath, log = () => undefined }: CpufreqActuatorOptions): Actuator {
  const header = headerOfThisProcess(tree);
  const leftovers = restoreLeftovers();
  const domains = discoverDomains(tree);
  const policies = domains.flatMap((discovered) => discovered.policies);
  checkGovernable(tree, policies);
  let engaged: { readonly journal: Journal | null; readonly records: readonly ControlRecord[] } | null = null;
  /** By policy: what was asked last, and what the kernel made of it. */
  const last = new Map<string, { readonly targetKhz: number; readonly readBackKhz: number }>();
  /** Policies whose governor somebody else has changed, so that it is said once. */
  const strayed = new Set<string>();

  function engage(): void {
    const held = new Set(leftovers.map(({ control }) => control));
    const fresh = policies.flatMap((policy) => originalsOf(tree, policy)).filter(({ control }) => !held.has(control));
    const records = [...leftovers, ...fresh];
    const journal = journalPath === null ? null : Journal.create(journalPath, header, records);
    for (const policy of policies) {
      const refusal = takeGovernor(pathOf(policy, 'scaling_governor'));
      if (refusal !== null) {
        giveBack(journal, records);
        throw new ActuatorError('engage-failed', refusal);
      }
      const shownKhz = readKhz(tree, pathOf(policy, 'scaling_max_freq'));
      last.set(policy.id, { targetKhz: policy.allowedMaxKhz, readBackKhz: shownKhz ?? policy.allowedMaxKhz });
    }
    engaged = { journal, records };
  }

  /** At full speed: the cap comes later. @returns null when it stands */
  function takeGovernor(path: string): string | null {
    const before = tree.read(path);
    if (before.ok && before.value === 'performance') return null;
    const write = tree.write(path, 'performance');
    if (!write.ok) return `write performance to ${tree.root}/${path}: ${write.errno}`;
    const after = tree.read(path);
    const reads = after.ok ? after.value : after.errno;
    return reads === 'performance' ? null : `write performance to ${tree.root}/${path}: reads ${reads}`;
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
    const results = restoreControls(tree, before.records);
    const failed = results.filter(({ outcome }) => outcome === 'failed').map(({ control }) => control);
    log(
      'warn',
      `restored ${results.length - failed.length} of ${results.length} controls that process ${pid} had left`,
    );
    for (const line of before.damagedLines) log('warn', `${journalPath}:${line}: no journal record, passed over`);
    return before.records.filter(({ control }) => failed.includes(control));
  }

  function giveBack(journal: Journal | null, records: readonly ControlRecord[]): readonly RestoredControl[] {
    const results = restoreControls(tree, records);
    if (results.every(({ outcome }) => outcome !== 'failed')) journal?.remove();
    return results;
  }

  function apply(point: OperatingPoint): Applied {
    if (engaged === null)
      throw new Error('apply a point: engage() comes first, so that the originals are in the journal');
    let writes = 0;
    const frequencies = domains.flatMap(({ domain, policies }): readonly AppliedFrequency[] => {
      const askedKhz = point.frequencyKhz[domain.id];
      if (askedKhz === undefined) return [];
      const applications = policies.map((policy) => applyToPolicy(policy, askedKhz));
      writes += applications.filter(({ wrote }) => wrote).length;
      return [domainOutcome(domain, askedKhz, applications)];
    });
    return { point, frequencies, writes };
  }

  function applyToPolicy(policy: PolicyInfo, askedKhz: KiloHertz): PolicyApplication {
    noticeGovernor(policy);
    const path = pathOf(policy, 'scaling_max_freq');
    const targetKhz = kiloHertz(Math.max(policy.allowedMinKhz, Math.min(policy.allowedMaxKhz, askedKhz)));
    const before = readKhz(tree, path);
    const known = last.get(policy.id);
    if (known !== undefined && before !== null && before !== known.readBackKhz) {
      log('info', `${policy.id}: scaling_max_freq reads ${before}, was ${known.readBackKhz}: not our write`);
    }
    if (before !== null && known?.targetKhz === targetKhz && known.readBackKhz === before) {
      return { ...made(before, targetKhz, 'unchanged'), wrote: false };
    }
    const result = tree.write(path, String(targetKhz));
    const after = readKhz(tree, path);
    if (!result.ok) {
      return { outcome: 'refused', appliedKhz: after, wrote: true, detail: `${policy.id}: ${result.errno}` };
    }
    if (after === null) {
      return { outcome: 'refused', appliedKhz: null, wrote: true, detail: `${policy.id}: cannot be read back` };
    }
    last.set(policy.id, { targetKhz, readBackKhz: after });
    return { ...made(after, targetKhz, 'applied'), wrote: true };

    function made(
      appliedKhz: KiloHertz,
      wantedKhz: KiloHertz,
      otherwise: WriteOutcome,
    ): Omit<PolicyApplication, 'wrote'> {
      if (appliedKhz === wantedKhz) return { outcome: otherwise, appliedKhz };
      return { outcome: 'clamped', appliedKhz, detail: `${policy.id}: wrote ${wantedKhz}, reads ${appliedKhz}` };
    }
  }

  function noticeGovernor(policy: PolicyInfo): void {
    const governor = tree.read(pathOf(policy, 'scaling_governor'));
    if (!governor.ok) return;
    if (governor.value === 'performance') {
      strayed.delete(policy.id);
    } else if (!strayed.has(policy.id)) {
      strayed.add(policy.id);
      log(
        'warn',
        `${policy.id}: somebody set governor ${governor.value}, under which the cap does not set the frequency`,
      );
    }
  }

  function release(onExit: OnExit): readonly RestoredControl[] {
    if (engaged === null) return [];
    const { journal, records } = engaged;
    engaged = null;
    last.clear();
    if (onExit === 'original') return giveBack(journal, records);
    const kept = onExit === 'leave' ? [] : records.filter(({ control }) => control.endsWith('/scaling_max_freq'));
    return giveBack(journal, kept);
  }

  return { machine: machineOf(tree, domains), method: 'cap', engage, apply, release };
}

/** @throws ActuatorError `no-cpufreq` */
function checkGovernable(tree: SysfsTree, policies: readonly PolicyInfo[]): void {
  if (policies.length === 0) {
    throw new ActuatorError('no-cpufreq', `govern frequencies below ${tree.root}: no cpufreq policy of an online CPU`);
  }
  const lacking = policies.find(({ governors }) => !governors.includes('performance'));
  if (lacking !== undefined) {
    const offered = lacking.governors.join(', ') || 'none';
    throw new ActuatorError('no-cpufreq', `govern ${lacking.id}: governor performance expected, offered: ${offered}`);
  }
}

function headerOfThisProcess(tree: SysfsTree): JournalHeader {
  const self = identityOf(process.pid);
  if (self === null) throw new ActuatorError('journal-failed', `read /proc/${process.pid}/stat: no such process`);
  return { version: 1, bootId: readBootId(), ...self, sysfsRoot: tree.root };
}

/** The maximum's original is the operator's, which differs from what shows while the firmware limits it. */
function originalsOf(tree: SysfsTree, policy: PolicyInfo): readonly ControlRecord[] {
  const record = (file: ControlFile, original: string): ControlRecord => {
    return { control: pathOf(policy, file), original, order: RESTORE_ORDER[file] };
  };
  const shown = (file: ControlFile): readonly ControlRecord[] => {
    const result = tree.read(pathOf(policy, file));
    return result.ok ? [record(file, result.value)] : [];
  };
  return [
    record('scaling_max_freq', String(policy.allowedMaxKhz)),
    ...shown('scaling_governor'),
    // Governor performance changes the preference with some drivers.
    ...shown('energy_performance_preference'),
  ];
}

function domainOutcome(
  domain: FrequencyDomain,
  askedKhz: KiloHertz,
  applications: readonly PolicyApplication[],
): AppliedFrequency {
  const known = applications.flatMap(({ appliedKhz }) => appliedKhz ?? []);
  const details = applications.flatMap(({ detail }) => detail ?? []);
  const outcome = SEVERITY.find((severity) => applications.some((application) => application.outcome === severity));
  return {
    domain: domain.id,
    askedKhz,
    // The clocks of a domain follow its highest demand.
    appliedKhz: known.length === 0 ? null : kiloHertz(Math.max(...known)),
    outcome: outcome ?? 'unchanged',
    ...(details.length === 0 ? {} : { detail: details.join('; ') }),
  };
}

const pathOf = (policy: PolicyInfo, file: ControlFile) => `${policyDirectory(policy.id)}/${file}`;

function readKhz(tree: SysfsTree, path: string): KiloHertz | null {
  const result = tree.read(path);
  const khz = result.ok ? Number.parseInt(result.value, 10) : NaN;
  return Number.isNaN(khz) ? null : kiloHertz(khz);
}
