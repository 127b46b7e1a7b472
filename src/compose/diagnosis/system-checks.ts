import { arch, release } from 'node:os';
import { cpu } from 'systeminformation';
import { messageOf } from '../../core/errors.ts';
import { openSensor, type TargetSpec } from '../../sensor/open-sensor.ts';
import { type MethodChoice, PROBE_METHODS, SOCKET_KINDS, type SocketKind } from '../../sensor/probe-methods.ts';
import type { Finding, ReadText } from './finding.ts';

/** What runs, and on what. */
export async function machineCheck(): Promise<Finding> {
  const { manufacturer, brand, cores, physicalCores, processors } = await cpu();
  const sockets = processors > 1 ? `, ${processors} sockets` : '';
  return {
    check: 'machine',
    state: 'ok',
    detail: `Linux ${release()} ${arch()}, ${manufacturer} ${brand}, ${physicalCores} cores, ${cores} CPUs${sockets}`,
  };
}

export const KERNEL_TYPES_PATH = '/sys/kernel/btf/vmlinux';

export function kernelTypesCheck(exists: (path: string) => boolean): Finding {
  if (exists(KERNEL_TYPES_PATH)) {
    return { check: 'kernel types', state: 'ok', detail: `${KERNEL_TYPES_PATH} is there` };
  }
  return {
    check: 'kernel types',
    state: 'missing',
    detail: `no ${KERNEL_TYPES_PATH}`,
    remedy: 'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as the distributions ship it',
  };
}

/** What the daemon uses of root's rights, see capabilities(7), and what for. */
const CAPABILITIES = {
  CAP_BPF: { bit: 39, for: 'loading probes' },
  CAP_PERFMON: { bit: 38, for: 'attaching probes' },
  CAP_SYS_NICE: { bit: 23, for: 'ticks in time on busy CPUs' },
} as const;
const INDISPENSABLE = ['CAP_BPF', 'CAP_PERFMON'];

/** @param uid of this process */
export function privilegesCheck(uid: number, readText: ReadText): Finding {
  const hex = /^CapEff:\s+([0-9a-f]+)/m.exec(readText('/proc/self/status') ?? '')?.[1] ?? '0';
  const effective = BigInt(`0x${hex}`);
  const lacking = Object.entries(CAPABILITIES).filter(([, { bit }]) => (effective & (1n << BigInt(bit))) === 0n);
  const who = uid === 0 ? 'root' : `user ${uid}`;
  if (lacking.length === 0) return { check: 'privileges', state: 'ok', detail: `${who}, with every capability needed` };
  return {
    check: 'privileges',
    state: lacking.some(([name]) => INDISPENSABLE.includes(name)) ? 'missing' : 'degraded',
    detail: `${who} without ${lacking.map(([name, { for: purpose }]) => `${name} (${purpose})`).join(', ')}`,
    remedy: 'run as root, or with these capabilities and write access to the cpufreq files',
  };
}

/** Any port and any path do: what is tried is loading and attaching. */
const TCP_TARGET: TargetSpec = { name: 'doctor', ports: [1] };
const TARGETS: Readonly<Record<SocketKind, TargetSpec>> = {
  udp: { ...TCP_TARGET, protocol: 'udp' },
  unix: { name: 'doctor', unix: '/nonexistent' },
};

/** Tries every method: loads its probes, attaches them, and takes them away. */
export function sensorCheck(): Finding {
  const tried = PROBE_METHODS.map(({ name, availability }) => ({
    ...{ name, availability },
    refusal: tryToOpen(TCP_TARGET, name).refusal,
  }));
  const best = tried.find(({ refusal }) => refusal === undefined);
  if (best === undefined) {
    const [detail, remedy] = tried[0]!.refusal!.split('; ', 2);
    const others = tried.slice(1).map(({ name, refusal }) => `${name}: ${refusal}`);
    return {
      check: 'sensor',
      state: 'missing',
      detail: detail!,
      alternatives: others,
      ...(remedy === undefined ? {} : { remedy }),
    };
  }
  const kinds = (Object.keys(TARGETS) as SocketKind[]).map((kind) => ({
    named: SOCKET_KINDS[kind],
    ...tryToOpen(TARGETS[kind], 'auto'),
  }));
  const alike = kinds.filter(({ method }) => method === best.name);
  return {
    check: 'sensor',
    state: 'ok',
    detail: `method ${best.name} (${best.availability}): loads and attaches, for ${listed(['TCP', ...alike.map(({ named }) => named)])}`,
    alternatives: [
      ...tried
        .filter((method) => method !== best)
        .map(({ name, refusal }) => `${name}: ${refusal ?? `possible, after ${best.name}`}`),
      ...kinds
        .filter((kind) => !alike.includes(kind))
        .map(({ named, method, refusal }) => `${named}: ${refusal ?? `method ${method}`}`),
    ],
  };
}

/** @returns the method that it measures by, or why it does not */
function tryToOpen(target: TargetSpec, choice: MethodChoice): { readonly method?: string; readonly refusal?: string } {
  try {
    const sensor = openSensor({ targets: [target], method: choice });
    sensor.close();
    return { method: sensor.method };
  } catch (error) {
    return { refusal: messageOf(error) };
  }
}

/** Of two or more names, or one: `a, b and c`. */
const listed = (names: readonly string[]): string => names.join(', ').replace(/, ([^,]+)$/, ' and $1');

/** See kernel_lockdown(7): which of the kernel's doors are shut, for root too. */
export function lockdownCheck(readText: ReadText): readonly Finding[] {
  const mode = /\[(\w+)\]/.exec(readText('/sys/kernel/security/lockdown') ?? '')?.[1];
  if (mode === undefined || mode === 'none') return [];
  return [
    {
      check: 'lockdown',
      state: 'degraded',
      detail: `the kernel is locked down: ${mode}`,
      remedy:
        mode === 'confidentiality'
          ? 'probes may not read the kernel’s memory in this mode: boot with lockdown=integrity or none'
          : 'nothing, while the sensor’s line says ok',
    },
  ];
}

/** The inode of the first PID namespace, include/linux/proc_ns.h of the kernel. */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]';

/**
 * In a container the machine's files may be read-only, and processes of others invisible.
 * @param pidNamespace of this process, as /proc/self/ns/pid names it
 */
export function containerCheck(pidNamespace: string, readText: ReadText): readonly Finding[] {
  const sysMount = (readText('/proc/self/mounts') ?? '').split('\n').find((line) => line.split(' ')[1] === '/sys');
  const limits = [
    ...(pidNamespace === FIRST_PID_NAMESPACE ? [] : ['the processes of the host are not seen, nor their CPU time']),
    ...(/(^|,)ro(,|$)/.test(sysMount?.split(' ')[3] ?? '')
      ? ['/sys is mounted read-only: no frequency can be set']
      : []),
  ];
  if (limits.length === 0) return [];
  return [
    {
      check: 'container',
      state: 'degraded',
      detail: `this looks like a container: ${limits.join('; ')}`,
      remedy: 'run tailgov on the host, or the container with --privileged --pid=host --network=host',
    },
  ];
}

export function virtualMachineCheck(readText: ReadText): readonly Finding[] {
  const flags = /^flags\s*:(.*)$/m.exec(readText('/proc/cpuinfo') ?? '')?.[1] ?? '';
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

/** Where the kernel's cgroups are, and whether CPUs can be given to groups of processes. See cgroups(7). */
export function cgroupsCheck(readText: ReadText): Finding {
  const mounts = (readText('/proc/self/mounts') ?? '').split('\n').map((line) => line.split(' '));
  const unified = mounts.find(([, , type]) => type === 'cgroup2')?.[1];
  const cpusetV1 = mounts.find(
    ([, , type, options]) => type === 'cgroup' && options?.split(',').includes('cpuset'),
  )?.[1];
  const controllers = unified === undefined ? null : readText(`${unified}/cgroup.controllers`);
  const systemd = readText('/proc/1/comm')?.trim() === 'systemd' ? 'systemd owns the units’ groups' : 'no systemd';
  if (controllers?.split(/\s+/).includes('cpuset')) {
    return { check: 'cgroups', state: 'ok', detail: `v2 with cpuset below ${unified}; ${systemd}` };
  }
  if (cpusetV1 !== undefined) {
    return { check: 'cgroups', state: 'ok', detail: `v1 cpuset below ${cpusetV1}; ${systemd}` };
  }
  return {
    check: 'cgroups',
    state: 'degraded',
    detail: `no cpuset controller; ${systemd}`,
    remedy: 'frequencies can be governed; CPUs can be given to a service thread by thread alone',
  };
}
