import { existsSync, readFileSync } from 'node:fs';
import { arch, release } from 'node:os';
import { cpu } from 'systeminformation';
import { findBoostSwitch } from '../actuator/boost-switch.ts';
import { discoverDomains } from '../actuator/discover-machine.ts';
import { knownWriters, runningCommands } from '../actuator/foreign-writers.ts';
import { describeMethods } from '../actuator/frequency-method.ts';
import { messageOf } from '../core/errors.ts';
import type { SysfsTree } from '../core/sysfs-tree.ts';
import { formatKhz } from '../core/units.ts';
import { openSensor } from '../sensor/open-sensor.ts';
import { policyDirectory } from '../sysfs/cpufreq-paths.ts';

/** `ok`: works. `degraded`: tailgov runs, with something less. `missing`: `tailgov run` cannot do its job. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'degraded' | 'missing';
  readonly detail: string;
  /** What to do about it. */
  readonly remedy?: string;
}

/** Looks at everything that `tailgov run` needs. Loads and unloads the probes; changes nothing. */
export async function diagnose(tree: SysfsTree): Promise<readonly Finding[]> {
  return [
    await machine(),
    kernelTypes(),
    privileges(),
    sensor(),
    frequency(tree),
    ...methods(tree),
    ...boost(tree),
    ...otherWriters(tree),
    virtualMachine(),
  ].flat();
}

async function machine(): Promise<Finding> {
  const { manufacturer, brand, cores, physicalCores, processors } = await cpu();
  const sockets = processors > 1 ? `, ${processors} sockets` : '';
  return {
    check: 'machine',
    state: 'ok',
    detail: `Linux ${release()} ${arch()}, ${manufacturer} ${brand}, ${physicalCores} cores, ${cores} CPUs${sockets}`,
  };
}

function kernelTypes(): Finding {
  const path = '/sys/kernel/btf/vmlinux';
  if (existsSync(path)) return { check: 'kernel types', state: 'ok', detail: `${path} is there` };
  return {
    check: 'kernel types',
    state: 'missing',
    detail: `no ${path}`,
    remedy: 'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as the distributions ship it',
  };
}

const CAPABILITY_BITS = { CAP_NET_ADMIN: 12, CAP_PERFMON: 38, CAP_BPF: 39 } as const;

function privileges(): Finding {
  if (process.getuid?.() === 0) return { check: 'privileges', state: 'ok', detail: 'root' };
  const effective = BigInt(`0x${/CapEff:\s+([0-9a-f]+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  const lacking = Object.entries(CAPABILITY_BITS)
    .filter(([, bit]) => (effective & (1n << BigInt(bit))) === 0n)
    .map(([name]) => name);
  if (lacking.length === 0)
    return { check: 'privileges', state: 'ok', detail: 'not root, with the capabilities for BPF' };
  return {
    check: 'privileges',
    state: 'missing',
    detail: `user ${process.getuid?.()} without ${lacking.join(', ')}`,
    remedy: 'run as root, or with these capabilities and write access to the cpufreq files',
  };
}

/** Any port does: what is tried is loading and attaching. */
const PROBE_PORT = 1;

function sensor(): Finding {
  try {
    const opened = openSensor({ targets: [{ name: 'doctor', ports: [PROBE_PORT] }] });
    opened.close();
    return { check: 'sensor', state: 'ok', detail: `method ${opened.method}: loads and attaches` };
  } catch (error) {
    const [detail, remedy] = messageOf(error).split('; ', 2);
    return { check: 'sensor', state: 'missing', detail: detail!, ...(remedy === undefined ? {} : { remedy }) };
  }
}

function frequency(tree: SysfsTree): Finding {
  const domains = discoverDomains(tree);
  const first = domains[0]?.domain;
  if (first === undefined) {
    return {
      check: 'frequency',
      state: 'missing',
      detail: `no cpufreq policy below ${tree.root}`,
      remedy:
        'virtual machines seldom have cpufreq; on hardware look for P-states in the firmware settings, or try --dry-run with a mock machine',
    };
  }
  const driver = tree.read(`${policyDirectory(first.id)}/scaling_driver`);
  const steps = first.stepsKhz === null ? 'any frequency' : `${first.stepsKhz.length} steps`;
  const minKhz = Math.min(...domains.map(({ domain }) => domain.minKhz));
  const maxKhz = Math.max(...domains.map(({ domain }) => domain.maxKhz));
  return {
    check: 'frequency',
    state: 'ok',
    detail: `${driver.ok ? driver.value : 'unnamed driver'}, ${domains.length} domains, ${formatKhz(minKhz)} to ${formatKhz(maxKhz)}, ${steps}`,
  };
}

/** Which method `auto` takes, and what is with the others. */
function methods(tree: SysfsTree): readonly Finding[] {
  const all = describeMethods(tree);
  const chosen = all.find((method) => method.chosen);
  if (chosen === undefined) return [];
  const others = all.filter((method) => method !== chosen).map(({ method, reason }) => `${method}: ${reason}`);
  const detail = [`${chosen.method} (${chosen.summary}): ${chosen.reason}`, ...others].join('; ');
  return [{ check: 'method', state: 'ok', detail }];
}

function boost(tree: SysfsTree): readonly Finding[] {
  const found = findBoostSwitch(tree);
  if (found === null) return [];
  const state = found.shown === found.textOf('on') ? 'on' : 'off';
  return [{ check: 'boost', state: 'ok', detail: `${state} (${found.path})` }];
}

function otherWriters(tree: SysfsTree): readonly Finding[] {
  const known = discoverDomains(tree).length === 0 ? [] : knownWriters(runningCommands());
  if (known.length === 0) return [];
  return [
    {
      check: 'other writers',
      state: 'degraded',
      detail: `running, and known to write cpufreq files: ${known.join(', ')}`,
      remedy:
        'let one program govern the CPUs; what is done about writes of others is set by actuators.frequency.foreignWriter',
    },
  ];
}

function virtualMachine(): readonly Finding[] {
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
  if (!/\bhypervisor\b/.test(flags)) return [];
  return [
    {
      check: 'hypervisor',
      state: 'degraded',
      detail: 'this is a virtual machine: the host decides how fast its CPUs really run',
      remedy: 'run tailgov on the host, or use it here to observe',
    },
  ];
}
