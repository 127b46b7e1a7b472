import { dirname, resolve } from 'node:path';
import type { OnExit } from '../core/actuator.ts';
import type { ControllerRegistry } from '../core/controller-kind.ts';
import { type FileProblem, PolicyError } from '../core/errors.ts';
import type { PlanStrategy } from '../core/planner.ts';
import type { Protocol } from '../core/sensor.ts';
import type { Slo } from '../core/slo.ts';
import { placeProblem, type TargetPlace } from '../core/target-place.ts';
import { formatKhz, type KiloHertz } from '../core/units.ts';
import { configSchema, type ParsedConfig } from './config-schema.ts';
import type { ListenAddress } from './listen-address.ts';
import { badFile, loadPolicy, type Policy } from './load-policy.ts';
import { check, type Complaint } from './problems.ts';
import { readYamlFile, type YamlFile } from './yaml-file.ts';

export interface ServiceConfig {
  readonly name: string;
  readonly target: TargetPlace;
  readonly protocol: Protocol;
  readonly slo: Slo;
  readonly cores: { readonly min: number; readonly reserved: readonly number[] };
  readonly policy: Policy;
  /** The policy file that the config names, which is not the policy's own where another was put in its place. */
  readonly configuredPolicy: string;
}

/** What is told of the governing, and to whom. */
export interface TelemetryConfig {
  /** null: no metrics. */
  readonly metrics: ListenAddress | null;
  /** `auto`: where the address of the metrics is a loopback address. */
  readonly dashboard: 'auto' | 'on' | 'off';
  /** `auto`: by the name of the CPU. */
  readonly powerModel: string;
}

export interface FrequencyConfig {
  readonly method: 'auto' | 'cap' | 'pin' | 'setspeed' | 'epp';
  readonly minKhz?: KiloHertz;
  readonly maxKhz?: KiloHertz;
  readonly boost: 'leave' | 'on' | 'off';
  readonly foreignWriter: 'yield' | { readonly overridesPerMinute: number };
}

export interface AffinityConfig {
  readonly method: 'auto' | 'unit' | 'cgroup2' | 'cgroup1' | 'threads';
  readonly force: boolean;
}

/** What is governed on this machine. */
export interface Config {
  readonly file: string;
  /** `dry-run`: decide, and write nothing. */
  readonly mode: 'govern' | 'dry-run';
  readonly services: readonly ServiceConfig[];
  readonly frequency: FrequencyConfig;
  readonly affinity: AffinityConfig;
  readonly planner: { readonly strategy: PlanStrategy };
  readonly telemetry: TelemetryConfig;
  readonly onExit: OnExit;
  readonly runtimeDirectory?: string;
}

/** @throws PolicyError with all problems of the file and of the policies that it names */
export function loadConfig(file: string, registry: ControllerRegistry): Config {
  return configOf(readYamlFile(file), registry);
}

export interface PolicyLookup {
  /** Where a policy comes from; by default its file is read. @throws PolicyError */
  readonly loadPolicy?: (file: string) => Policy;
  /** By service: the policy file that governs it in the place of the one that the config names. */
  readonly policyFiles?: Readonly<Record<string, string>>;
}

/** @throws PolicyError with all problems of the file and of the policies that it names */
export function configOf(yaml: YamlFile, registry: ControllerRegistry, lookup: PolicyLookup = {}): Config {
  const parsed = check(configSchema, yaml.data);
  const complaints = [
    ...(parsed.ok ? [] : parsed.complaints),
    ...targetComplaints(yaml.data),
    ...duplicates(yaml.data),
  ];
  if (parsed.ok) complaints.push(...frequencyComplaints(parsed.value));
  const own = complaints.length > 0 ? badFile(yaml, complaints).problems : [];

  const policies = loadPolicies(yaml, registry, lookup);
  if (!parsed.ok || own.length > 0 || policies.problems.length > 0) {
    throw new PolicyError('bad-file', [...own, ...policies.problems]);
  }

  const { mode, services, actuators, planner, telemetry, onExit, runtimeDirectory } = parsed.value;
  const { min, max, ...frequency } = actuators.frequency;
  return {
    file: yaml.file,
    mode,
    services: services.map(({ name, target: { protocol, ...place }, slo, cores, policy }) => ({
      name,
      target: placeOf(place),
      protocol,
      slo: { quantile: slo.quantile, latencyNs: slo.latency, windowMs: slo.window },
      cores,
      policy: policies.byPath.get(policyFileOf(yaml, name, policy, lookup))!,
      configuredPolicy: policyFileOf(yaml, name, policy, {}),
    })),
    frequency: {
      ...frequency,
      ...(min === undefined ? {} : { minKhz: min }),
      ...(max === undefined ? {} : { maxKhz: max }),
    },
    affinity: actuators.affinity,
    planner,
    telemetry,
    onExit,
    ...(runtimeDirectory === undefined ? {} : { runtimeDirectory }),
  };
}

/** A policy's path is relative to the config that names it. */
function policyFileOf(yaml: YamlFile, service: unknown, policy: string, { policyFiles = {} }: PolicyLookup): string {
  const other = typeof service === 'string' && Object.hasOwn(policyFiles, service) ? policyFiles[service] : undefined;
  return other ?? resolve(dirname(yaml.file), policy);
}

/** Loads each policy that is named, once. One that cannot be read is a problem at the place that names it. */
function loadPolicies(yaml: YamlFile, registry: ControllerRegistry, lookup: PolicyLookup) {
  const load = lookup.loadPolicy ?? ((file: string) => loadPolicy(file, registry));
  const byPath = new Map<string, Policy>();
  const problems: FileProblem[] = [];
  const tried = new Set<string>();
  for (const [index, { name, policy }] of servicesIn(yaml.data).entries()) {
    if (typeof policy !== 'string' || policy === '') continue;
    const path = policyFileOf(yaml, name, policy, lookup);
    if (tried.has(path)) continue;
    tried.add(path);
    try {
      byPath.set(path, load(path));
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      if (error.code === 'unreadable') {
        const why = error.problems.map(({ message }) => message).join(', ');
        problems.push(yaml.problemAt(['services', index, 'policy'], `policy ${path} ${why}`));
      } else {
        problems.push(...error.problems);
      }
    }
  }
  return { byPath, problems };
}

/*
 * What a schema cannot say, judged on the data as it was read, so that it is reported together with whatever else is wrong.
 */

type RawService = Readonly<Record<string, unknown>>;

function servicesIn(data: unknown): readonly RawService[] {
  const services: unknown = isMapping(data) ? data['services'] : undefined;
  return Array.isArray(services) ? services.map((service: unknown) => (isMapping(service) ? service : {})) : [];
}

function isMapping(value: unknown): value is RawService {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `port` is `ports` with one in it. */
function placeOf({ port, ports, ...rest }: Readonly<Record<string, unknown>>): TargetPlace {
  const list = ports ?? (port === undefined ? undefined : [port]);
  return { ...rest, ...(list === undefined ? {} : { ports: list }) } as TargetPlace;
}

function targetComplaints(data: unknown): readonly Complaint[] {
  return servicesIn(data).flatMap(({ target }, index) => {
    if (!isMapping(target)) return [];
    const path = ['services', index, 'target'];
    const keys = Object.keys(target);
    // What a misspelt key was meant to say is not known.
    if (keys.length > 0 && !keys.some((key) => key in configSchema.shape.services.element.shape.target.shape))
      return [];
    const both = keys.includes('port') && keys.includes('ports');
    const message = both
      ? 'port and ports given, expected one of them'
      : (placeProblem(placeOf(target)) ?? (isUdpElsewhere(target) ? UDP_ELSEWHERE : undefined));
    return message === undefined ? [] : [{ path, message }];
  });
}

const UDP_ELSEWHERE = 'protocol udp given, expected it beside a port or ports of our own network namespace alone';

const isUdpElsewhere = ({ protocol, port, ports, ...elsewhere }: RawService) =>
  protocol === 'udp' && ((port ?? ports) === undefined || Object.keys(elsewhere).length > 0);

function duplicates(data: unknown): readonly Complaint[] {
  const complaints: Complaint[] = [];
  const names = new Map<unknown, number>();
  const tcpPorts = new Map<unknown, number>();
  const udpPorts = new Map<unknown, number>();
  const see = (seen: Map<unknown, number>, value: unknown, index: number, path: PropertyKey[], noun: string) => {
    const first = seen.get(value);
    if (first === undefined) seen.set(value, index);
    else
      complaints.push({ path, message: `${noun} ${String(value)} is taken by service ${first + 1}, expected another` });
  };
  for (const [index, { name, target }] of servicesIn(data).entries()) {
    if (typeof name === 'string') see(names, name, index, ['services', index, 'name'], 'name');
    if (!isMapping(target)) continue;
    const { port, ports: list, protocol, ...elsewhere } = target;
    // The same port of another namespace, or of some process, is another.
    if (Object.keys(elsewhere).length > 0) continue;
    const [ports, noun] = protocol === 'udp' ? [udpPorts, 'UDP port'] : [tcpPorts, 'port'];
    if (typeof port === 'number') see(ports, port, index, ['services', index, 'target', 'port'], noun);
    if (!Array.isArray(list)) continue;
    for (const [position, entry] of list.entries()) {
      if (typeof entry === 'number') see(ports, entry, index, ['services', index, 'target', 'ports', position], noun);
    }
  }
  return complaints;
}

function frequencyComplaints({ actuators }: ParsedConfig): readonly Complaint[] {
  const { min, max } = actuators.frequency;
  if (min === undefined || max === undefined || min <= max) return [];
  const message = `${formatKhz(min)} given, expected at most max, ${formatKhz(max)}`;
  return [{ path: ['actuators', 'frequency', 'min'], message }];
}
