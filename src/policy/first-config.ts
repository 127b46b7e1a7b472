import { stringify } from 'yaml';
import { formatNs, NS_PER_MS, NS_PER_S, NS_PER_US } from '../core/units.ts';

/** What was seen of a service while it ran as fast as the machine let it. */
export interface Measured {
  readonly requests: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
}

/** A port that something listens on. */
export interface FoundService {
  readonly port: number;
  /** What the processes are called that listen on it; empty where that is hidden from us. */
  readonly programs: readonly string[];
  /** Why it is surely none to govern; absent where it may be one. */
  readonly leftOut?: string;
  /** Absent where nothing was measured. */
  readonly measured?: Measured;
}

export interface FirstConfig {
  /** Each port once. */
  readonly found: readonly FoundService[];
  /** Relative to the config. */
  readonly policyFile: string;
  /** How the figures came to be, or why there are none; a sentence. */
  readonly measuring: string;
  /** As many services as a daemon can govern; the others are left out. */
  readonly mostServices: number;
}

/** 1 − 0.99²⁹⁹ = 0.95: so many independent requests show one beyond the p99 with that probability. */
const ENOUGH_FOR_P99 = 299;
const ROOM = 3;
const LONGEST_SLO_NS = 600 * NS_PER_S;
const GUESSED_SLO = '10ms';
const EXAMPLE: FoundService = { port: 6379, programs: ['example'] };

/** Programs that listen and have no objective. By the names that the kernel keeps, of 15 characters. */
const NO_SERVICES: Readonly<Record<string, string>> = {
  sshd: 'it is for people',
  dropbear: 'it is for people',
  cupsd: 'it is for printers',
  rpcbind: 'it is of the system',
  'systemd-resolve': 'it is of the system',
  containerd: 'it is of the system',
  dockerd: 'it is of the system',
  kubelet: 'it is of the system',
  systemd: 'systemd holds the socket for a service that has not been started yet',
  'docker-proxy': 'it stands for a container, which is governed by `target: { container: ID }`',
};

/** Why what these programs listen on is surely none to govern; undefined where it may be one. */
export function leftOutBecause(programs: readonly string[]): string | undefined {
  const reasons = programs.map((program) => (Object.hasOwn(NO_SERVICES, program) ? NO_SERVICES[program] : undefined));
  return reasons.includes(undefined) ? undefined : reasons[0];
}

/** A round number, 1, 2 or 5 times a power of ten, of at least three times the p99; as files write it. */
export function suggestSlo(p99Ns: number): string {
  const leastNs = Math.max(ROOM * p99Ns, NS_PER_US);
  if (leastNs > LONGEST_SLO_NS / 1.2) return '10min';
  const powerNs = 10 ** Math.floor(Math.log10(leastNs));
  const ns = [1, 2, 5, 10].map((factor) => factor * powerNs).find((roundNs) => roundNs >= leastNs)!;
  if (ns >= NS_PER_S) return `${ns / NS_PER_S}s`;
  return ns >= NS_PER_MS ? `${ns / NS_PER_MS}ms` : `${ns / NS_PER_US}us`;
}

/**
 * A first `tailgov.yaml` for a machine: a dry run of what was found, each line explained. Where nothing was found it has an
 * example, so that it is a good file whatever there is.
 */
export function firstConfig({ found, policyFile, measuring, mostServices }: FirstConfig): string {
  const wanted = found.filter(({ leftOut }) => leftOut === undefined);
  const governed = new Set(wanted.slice(0, mostServices));
  const names = namesOf(found);
  const entries = found.map((service, index) => {
    const leftOut = governed.has(service)
      ? undefined
      : (service.leftOut ?? `one daemon governs at most ${mostServices} services`);
    return entryOf({ ...service, ...(leftOut === undefined ? {} : { leftOut }) }, names[index]!, policyFile);
  });
  const example = [
    `  # No service was found. An example: put yours in its place.`,
    entryOf(EXAMPLE, 'example', policyFile),
  ];
  return `# What tailgov governs on this machine; a first version, made by \`tailgov init\` from what listened at that moment.
# After a change: tailgov policy check FILE. All keys: tailgov policy schema config.

# Measure and decide, write nothing. To go live write \`govern\` here and restart the daemon.
mode: dry-run

# ${measuring.replaceAll(/\s+/g, ' ')}
services:
${[...entries, ...(governed.size === 0 ? example : [])].join('\n')}
# At exit every control goes back to what it was.
onExit: original

# For Prometheus, at /metrics; for a browser on this machine, at /dashboard.
telemetry: { metrics: 127.0.0.1:9750 }
`;
}

/** A service's lines; those of one that is left out are comments. */
function entryOf({ port, programs, measured, leftOut }: FoundService, name: string, policyFile: string): string {
  const who = programs.length === 0 ? 'of a program that cannot be seen from here' : programs.map(printable).join(', ');
  const about = `  # Port ${port}: ${who}${leftOut === undefined ? '' : `. Left out: ${leftOut}`}`;
  const entry = [
    `  - name: ${stringify(name).trim()} # what logs, metrics and commands call it`,
    `    target: { port: ${port} } # every connection that is accepted on this port`,
    ...sloLines(measured).map((line) => `    ${line}`),
    `    policy: ${stringify(policyFile).trim()} # how it is governed`,
  ];
  const lines = leftOut === undefined ? entry : entry.map((line) => line.replace(/^ {2}/, '  # '));
  return `${[about, ...lines].join('\n')}\n`;
}

function sloLines(measured: Measured | undefined): readonly string[] {
  if (measured === undefined || measured.requests === 0) {
    return [
      '# A guess, for no request was measured: look with `tailgov observe` under load, then write what you promise.',
      `slo: { quantile: p99, latency: ${GUESSED_SLO}, window: 1min }`,
    ];
  }
  const { requests, p50Ns, p99Ns } = measured;
  const few = requests < ENOUGH_FOR_P99 ? ' Too few to know a p99: measure again under load.' : '';
  return [
    `# Measured: ${requests} requests, p50 ${formatNs(p50Ns)}, p99 ${formatNs(p99Ns)}.${few}`,
    `# A suggestion: the next round number from ${ROOM} times that p99. Better write what you promise to your users.`,
    `slo: { quantile: p99, latency: ${suggestSlo(p99Ns)}, window: 1min }`,
  ];
}

/** A name each, after its program; with the port where that is taken, or is no name. */
function namesOf(found: readonly FoundService[]): readonly string[] {
  const taken = new Set<string>();
  for (const { port, programs } of found) {
    const plain = (programs[0] ?? '').replaceAll(/[^A-Za-z0-9_.-]+/g, '-').slice(0, 40);
    let name = /^[A-Za-z0-9]/.test(plain) ? plain : `port-${port}`;
    while (taken.has(name)) name += `-${port}`;
    taken.add(name);
  }
  return [...taken];
}

/** A program may call itself anything, and a comment ends with its line. */
const printable = (text: string) => text.replaceAll(/[^ -~]/g, '?');
