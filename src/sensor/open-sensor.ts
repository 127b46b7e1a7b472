import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '../core/clock.ts';
import { SensorError } from '../core/errors.ts';
import { placeProblem } from '../core/target-place.ts';
import type { LogLevel } from '../native/libbpf.ts';
import { MAX_TARGETS } from './layout.ts';
import type { OpenedSensor } from './opened-sensor.ts';
import { chooseMethodHere, type ChosenMethod } from './probe-kernel.ts';
import { type MethodChoice, PROBE_METHODS, type SocketKind } from './probe-methods.ts';
import { isPlainPorts } from './target-resolver.ts';
import type { TargetSpec } from './target-spec.ts';
import { TurnSensor } from './turn-sensor.ts';

export type { OpenedSensor } from './opened-sensor.ts';
export type { TargetSpec } from './target-spec.ts';

export interface SensorOptions {
  readonly targets: readonly TargetSpec[];
  /** `auto`, the best that this kernel offers, where not given. */
  readonly method?: MethodChoice;
  /** A further send belongs to the same reply when it follows within this time of the one before; 50 ms where not given. */
  readonly extendGapNs?: number;
  /** Whether snapshots have `secondary`, which takes a look at every system call of the machine; not where not given. */
  readonly secondary?: boolean;
  /** Where the compiled probes are; beside the program where not given. */
  readonly objectDirectory?: string;
  /** Whether to stream turns one by one as well, for a recording; costs time for each of them. */
  readonly record?: boolean;
  readonly clock?: Clock;
  readonly log?: (level: LogLevel, text: string) => void;
}

const DEFAULT_EXTEND_GAP_NS = 50_000_000;

/**
 * Attaches probes to the kernel and starts to measure; they are gone with `close()`, or with the process.
 * @throws SensorError whose message says what to do, where this machine cannot run them
 * @throws RangeError for a target that makes no sense
 */
export function openSensor(options: SensorOptions): OpenedSensor {
  assertTargets(options.targets);
  const extendGapNs = options.extendGapNs ?? DEFAULT_EXTEND_GAP_NS;
  if (!(Number.isSafeInteger(extendGapNs) && extendGapNs >= 0)) {
    throw new RangeError(`extendGapNs is ${extendGapNs}, expected whole nanoseconds`);
  }
  const directory = findObjects(options.objectDirectory);
  const chosen = chooseMethodHere(options.method ?? 'auto', kindsOf(options.targets));
  if (options.record === true && chosen.method.name === 'syscall') {
    throw new SensorError(
      'kernel-too-old',
      "a recording needs method 'tracepoint' or 'fentry': 'syscall' sees no arrivals",
    );
  }
  const byConnection = options.targets.find(({ protocol }) => protocol === 'connection');
  if (byConnection !== undefined && chosen.method.name !== 'syscall') {
    throw new RangeError(`target ${byConnection.name}: protocol connection, expected it with method 'syscall' alone`);
  }
  assertProtocols(options.targets, chosen);
  const udp = options.targets.find((target) => target.protocol === 'udp');
  if (udp !== undefined && options.record === true) {
    throw new RangeError(`target ${udp.name}: protocol udp, expected none in a recording`);
  }
  return new TurnSensor({
    ...chosen,
    objectFile: join(directory, chosen.method.objectName),
    targets: options.targets,
    extendGapNs,
    record: options.record === true,
    secondary: options.secondary ?? false,
    clock: options.clock ?? systemClock,
    ...(options.log === undefined ? {} : { log: options.log }),
  });
}

const kindsOf = (targets: readonly TargetSpec[]): readonly SocketKind[] => [
  ...(targets.some(({ protocol }) => protocol === 'udp') ? (['udp'] as const) : []),
  ...(targets.some(({ unix }) => unix !== undefined) ? (['unix'] as const) : []),
];

function assertTargets(targets: readonly TargetSpec[]): void {
  if (targets.length === 0) throw new SensorError('no-such-target', 'open the sensor: no target was given');
  if (targets.length > MAX_TARGETS) {
    throw new SensorError('too-many-targets', `open the sensor: ${targets.length} targets, at most ${MAX_TARGETS} fit`);
  }
  const targetOfPort = new Map<string, string>();
  for (const target of targets) {
    const { name, ports = [], sloLatencyNs, alarm } = target;
    const problem = placeProblem(target);
    if (problem !== undefined) throw new SensorError('no-such-target', `target ${name}: ${problem}`);
    if (target.protocol === 'udp' && !isPlainPorts(target)) {
      throw new RangeError(`target ${name}: protocol udp, expected it beside ports of our own network namespace alone`);
    }
    if (target.protocol === 'connection' && target.unix !== undefined) {
      throw new RangeError(
        `target ${name}: protocol connection, expected it of TCP: no Unix-domain socket is seen to close`,
      );
    }
    for (const port of new Set(ports)) {
      if (!(Number.isInteger(port) && port >= 1 && port <= 65_535)) {
        throw new RangeError(`target ${name}: port ${port}, expected 1..65535`);
      }
      if (!isPlainPorts(target)) continue;
      const key = `${target.protocol === 'udp' ? 'udp' : 'tcp'} ${port}`;
      const other = targetOfPort.get(key);
      if (other !== undefined) throw new RangeError(`port ${port} is of target ${other} and of target ${name}`);
      targetOfPort.set(key, name);
    }
    if (target.pid !== undefined && !(Number.isInteger(target.pid) && target.pid > 0)) {
      throw new RangeError(`target ${name}: pid ${target.pid}, expected a process id`);
    }
    assertPositive(`target ${name}: sloLatencyNs`, sloLatencyNs);
    assertPositive(`target ${name}: alarm.lateBudget`, alarm?.lateBudget);
    assertPositive(`target ${name}: alarm.waitBudgetNs`, alarm?.waitBudgetNs);
    assertRatio(`target ${name}: alarm.lateRatio`, alarm?.lateRatio);
    assertRatio(`target ${name}: alarm.waitingRatio`, alarm?.waitingRatio);
  }
}

/** Who says that it is HTTP/2 wants streams: turns would be wrong, and not `auto`'s best effort. */
function assertProtocols(targets: readonly TargetSpec[], { canParseHttp2, method }: ChosenMethod): void {
  const wanting = targets.find(({ protocol, unix }) => protocol === 'http2' && !(canParseHttp2 && unix === undefined));
  if (wanting === undefined) return;
  const problem =
    wanting.unix === undefined
      ? `method '${method.name}' on Linux ${release()}, ${process.arch}, cannot look at frames; expected method 'tracepoint' or 'fentry' on Linux 5.17 or later, on x86-64 or arm64`
      : 'frames are followed on TCP alone, not on Unix-domain sockets';
  throw new SensorError('kernel-too-old', `measure target ${wanting.name} by stream: ${problem}`);
}

function assertPositive(what: string, value: number | undefined): void {
  if (value !== undefined && !(value > 0)) throw new RangeError(`${what} is ${value}, expected a positive number`);
}

function assertRatio(what: string, value: number | undefined): void {
  if (value !== undefined && !(Number.isFinite(value) && value >= 0)) {
    throw new RangeError(`${what} is ${value}, expected 0 or more`);
  }
}

/** In a checkout the sources are two folders below the root; in a package everything is in dist. */
function findObjects(directory: string | undefined): string {
  const candidates =
    directory === undefined
      ? ['./bpf/', '../../dist/bpf/'].map((path) => fileURLToPath(new URL(path, import.meta.url)))
      : [directory];
  const missingIn = (candidate: string) =>
    PROBE_METHODS.map(({ objectName }) => join(candidate, objectName)).find((file) => !existsSync(file));
  const found = candidates.find((candidate) => missingIn(candidate) === undefined);
  if (found !== undefined) return found;
  const missing = candidates.map(missingIn).join(', nor ');
  throw new SensorError('object-missing', `find the compiled probes: no ${missing}; run: npm run build`);
}
