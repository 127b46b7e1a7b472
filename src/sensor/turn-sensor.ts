import { isDeepStrictEqual } from 'node:util';
import { SeenSinceArmed } from '../core/alarm-budget.ts';
import type { Clock } from '../core/clock.ts';
import { SensorError } from '../core/errors.ts';
import { describePlace, PLACES, type TargetPlace } from '../core/target-place.ts';
import type { Alarm, AlarmKind, AlarmSource, RequestUnit, Snapshot } from '../core/sensor.ts';
import { BpfObject, type Log, type MappedMemory, possibleCpus, RingBuffer, variableOffset } from '../native/libbpf.ts';
import { ConnectionWalk, type InFlight } from './connection-walk.ts';
import { CpuMeter } from './cpu-meter.ts';
import { healthOf } from './health.ts';
import { type FiguresByUnit, figuresByUnit } from './figures-by-unit.ts';
import { boundUdpPorts, listeningPorts } from './listening-ports.ts';
import { ALARM, ALARM_BITS, CONTROL, MAX_TARGETS, PORTS, READER_KEY, STRIPE } from './layout.ts';
import type { OpenedSensor } from './opened-sensor.ts';
import { ownNetns, PortTable } from './port-table.ts';
import { type ChosenMethod, explainRefusal } from './probe-kernel.ts';
import { PAGE_SENT, type ProbeMethod } from './probe-methods.ts';
import { inInitialPidNamespace, procTimes } from './process-times.ts';
import { chooseSecondary, SecondaryReader } from './secondary-reader.ts';
import { syscallRoles } from './syscall-roles.ts';
import { TargetControl } from './target-control.ts';
import { isPlainPorts, TargetResolver } from './target-resolver.ts';
import type { TargetSpec } from './target-spec.ts';
import { RECORDED_BYTES, TurnStream } from './turn-stream.ts';
import { UnixTable } from './unix-table.ts';
import { type Window, WindowReader } from './window-reader.ts';

const MOST_STRIPES = 4;
/** At ten reads a second each target is looked at every second. */
const READS_FOR_ALL_LOOKS = 8;

interface Setup extends ChosenMethod {
  readonly objectFile: string;
  readonly targets: readonly TargetSpec[];
  readonly extendGapNs: number;
  readonly record: boolean;
  readonly secondary: boolean;
  readonly clock: Clock;
  readonly log?: Log;
}

/** One target's side of the sensor. */
interface TargetState {
  spec: TargetSpec;
  readonly reader: WindowReader;
  /** Absent where its connections are not looked at for HTTP/2. */
  readonly streams: WindowReader | undefined;
  /** Of its last snapshot. */
  unit: RequestUnit;
  http2WasSeen: boolean;
  readonly control: TargetControl;
  readonly cpu: CpuMeter;
  /** The last window, where nothing was in flight: while its readers give the same it is the same. */
  rested: { readonly turns: Window; readonly streams: Window | undefined; readonly window: FiguresByUnit } | undefined;
  readAtNs: bigint;
  /** When a request last completed, or nothing was in flight. */
  progressAtNs: bigint;
  inFlight: number;
  /** In flight by the counters and not found by the last walk. */
  missing: number;
  /** By all reads, urgent ones included. */
  readonly seen: SeenSinceArmed;
}

/** Turns, measured by probes in the kernel that tell of each socket's arrivals, reads and sends. */
export class TurnSensor implements OpenedSensor {
  readonly method: ProbeMethod['name'];
  readonly unit: RequestUnit;
  readonly alarms: AlarmSource;
  readonly turns: TurnStream | null;
  readonly #object: BpfObject;
  readonly #clock: Clock;
  readonly #targets: readonly TargetState[];
  readonly #walk: ConnectionWalk;
  readonly #pidsAreOurs = inInitialPidNamespace();
  readonly #looksARead: number;
  readonly #ports: PortTable;
  readonly #resolver: TargetResolver;
  /** Absent where no target is a Unix-domain socket. */
  readonly #unixSockets: UnixTable | undefined;
  /** Absent where secondary signals were not asked for. */
  readonly #secondary: SecondaryReader | undefined;
  readonly #log: Log | undefined;
  /** Whether the last look found a place to listen, a target each; undefined for targets of plain ports. */
  #found: readonly (boolean | undefined)[];
  #closed = false;

  /** @throws SensorError */
  constructor(setup: Setup) {
    this.method = setup.method.name;
    const units = new Set(setup.targets.map(firstUnit));
    this.unit = units.size === 1 ? [...units][0]! : 'turn';
    this.#clock = setup.clock;
    this.#log = setup.log;
    this.#found = setup.targets.map((spec) => (isPlainPorts(spec) ? undefined : false));
    this.#resolver = new TargetResolver(
      setup.targets.map((spec) => (isPlainPorts(spec) ? {} : spec)),
      setup.clock,
    );
    this.#looksARead = Math.ceil(setup.targets.length / READS_FOR_ALL_LOOKS);
    const object = BpfObject.open(setup.objectFile, setup.log === undefined ? {} : { log: setup.log });
    this.#object = object;
    try {
      const stripeShift = Math.ceil(Math.log2(Math.min(MOST_STRIPES, possibleCpus())));
      load(object, setup, stripeShift);
      const memory = object.map('.bss').mmap({ writable: true });
      this.#walk = new ConnectionWalk(object, setup.walks, memory, setup.clock);
      this.#targets = setup.targets.map((spec, index) => {
        const controls = variableOffset(object.map('.bss'), 'controls').offset;
        return {
          spec,
          reader: new WindowReader(stripesOf(object, index, 2 ** stripeShift)),
          streams: maySpeakHttp2(setup, spec)
            ? new WindowReader(stripesOf(object, setup.targets.length + index, 2 ** stripeShift), 'stream')
            : undefined,
          unit: firstUnit(spec),
          http2WasSeen: spec.protocol === 'http2',
          control: new TargetControl(memory, controls + index * CONTROL.bytes, spec),
          cpu: new CpuMeter(setup.clock, procTimes),
          rested: undefined,
          readAtNs: 0n,
          progressAtNs: 0n,
          inFlight: 0,
          missing: 0,
          seen: new SeenSinceArmed(),
        };
      });
      this.alarms = {
        ...openAlarms(object, setup.targets),
        disarm: (name, kind) => this.#targets.find(({ spec }) => spec.name === name)?.control.disarm(kind),
      };
      this.turns = setup.record ? new TurnStream(object, memory, setup.extendGapNs, setup.clock) : null;
      this.#ports = new PortTable(
        new Uint8Array(memory.buffer, variableOffset(object.map('.bss'), 'port_target').offset, PORTS),
        object.map('listeners'),
        setup.targets.map((spec) => (isPlainPorts(spec) && !isUdp(spec) ? spec.ports : undefined)),
      );
      if (hasUdp(setup.targets)) aimAtUdp(object, memory, setup.targets);
      this.#unixSockets = hasUnix(setup.targets)
        ? new UnixTable(
            object.map('unix_listeners'),
            setup.targets.map(({ unix }) => unix),
          )
        : undefined;
      this.#followTargets(setup.clock.monotonicNs());
      const http2Offset = variableOffset(object.map('.bss'), 'may_speak_http2').offset;
      const mayBeHttp2 = new Uint8Array(memory.buffer, http2Offset, setup.targets.length);
      setup.targets.forEach((spec, index) => (mayBeHttp2[index] = Number(maySpeakHttp2(setup, spec))));
      if (setup.method.name === 'syscall') chooseConnections(object, memory, setup.targets);
      for (const { program } of setup.probes) object.attach(program);
      this.#secondary = setup.secondary ? new SecondaryReader(object, memory) : undefined;
    } catch (error) {
      object.close();
      throw explainRefusal(error, setup.method);
    }
    const nowNs = this.#clock.monotonicNs();
    for (const target of this.#targets) {
      target.readAtNs = nowNs;
      target.progressAtNs = nowNs;
      target.control.arm('idle', target.seen.take());
    }
  }

  read(urgent = false, rearm = false): readonly Snapshot[] {
    this.#assertOpen();
    const windows = this.#targets.map(({ reader, streams }) => ({ turns: reader.read(), streams: streams?.read() }));
    let walked = false;
    const atNs = this.#clock.monotonicNs();
    if (
      // Below 0 an arrival was missed, which the walk makes up for.
      windows.some(({ turns, streams }) => turns.inFlight !== 0 || (streams?.inFlight ?? 0) > 0) &&
      this.#walk.isDue(atNs)
    ) {
      this.#walk.walk();
      walked = true;
    }
    if (!urgent) {
      this.#followTargets(atNs);
      this.#lookAtProcesses(atNs);
    }
    const secondary = urgent ? undefined : this.#secondary?.read(this.#targets.length);
    return this.#targets.map((target, index): Snapshot => {
      const { turns, streams } = windows[index]!;
      const resting = turns.inFlight === 0 && (streams?.inFlight ?? 0) === 0;
      const before = target.rested;
      const window =
        resting && before?.turns === turns && before.streams === streams
          ? before.window
          : figuresByUnit(
              this.#withAge(walked ? this.#withoutLost(target, turns, index) : turns, index),
              streams && this.#withAge(streams, MAX_TARGETS + index),
              target,
            );
      target.rested = resting ? { turns, streams, window } : undefined;
      target.unit = window.unit;
      target.http2WasSeen = window.http2 !== undefined;
      const windowNs = Number(atNs - target.readAtNs);
      if (window.requests > 0 || target.inFlight === 0) target.progressAtNs = atNs;
      const health = healthOf({
        windowNs,
        arrivals: window.arrivals,
        requests: window.requests,
        inFlight: window.inFlight,
        sinceProgressNs: Number(atNs - target.progressAtNs),
        sloLatencyNs: target.spec.sloLatencyNs,
      });
      target.readAtNs = atNs;
      target.inFlight = window.inFlight;
      target.seen.add(requestsOfBothUnits(window), windowNs);
      if (!urgent) target.control.arm(health, target.seen.take());
      else if (rearm) target.control.rearm();
      return {
        target: target.spec.name,
        method: this.method,
        atNs,
        windowNs,
        health,
        ...window,
        cpuTimeNs: target.cpu.cpuTimeNs(windowNs),
        busiestThreadRatio: target.cpu.busiestThreadRatio,
        ...(secondary === undefined ? {} : { secondary: secondary[index]! }),
      };
    });
  }

  /**
   * What is in flight, counted by a walk over all connections, a target each: independent of the counters, which must agree.
   * Takes time for each connection.
   */
  walk(unit: RequestUnit = 'turn'): readonly InFlight[] {
    this.#assertOpen();
    this.#walk.walk();
    return this.#targets.map((_, index) => this.#walk.found(unit === 'stream' ? MAX_TARGETS + index : index));
  }

  retarget(targets: readonly TargetSpec[]): boolean {
    this.#assertOpen();
    const matched = this.#targets.map((state) => {
      const target = targets.find(({ name }) => name === state.spec.name);
      return target !== undefined && sameConnections(target, state.spec) ? { state, target } : null;
    });
    if (targets.length !== matched.length || matched.includes(null)) return false;
    for (const { state, target } of matched.filter((match) => match !== null)) {
      state.spec = target;
      state.control.aim(target);
    }
    return true;
  }

  waiting(): readonly string[] {
    this.#assertOpen();
    const listening = { tcp: listeningPorts(), udp: boundUdpPorts() };
    return this.#targets.flatMap(({ spec }, index) => {
      const found = this.#found[index];
      if (found === true) return [];
      if (found === false) return [describePlace(spec)];
      return (spec.ports ?? [])
        .filter((port) => !listening[isUdp(spec) ? 'udp' : 'tcp'].has(port))
        .map((port) => describePlace({ ports: [port] }));
    });
  }

  processes(): ReadonlyMap<string, readonly number[]> {
    this.#assertOpen();
    const pids = this.#pidsAreOurs ? this.#readers() : [];
    return new Map(this.#targets.map(({ spec }, index) => [spec.name, pids[index] ?? []]));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#object.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw new SensorError('closed', 'read the sensor: it is closed');
  }

  /**
   * Nothing says that a Unix-domain socket closes, or that a peer of a UDP socket was forgotten. What a walk twice does not find,
   * while nothing comes and nothing is answered, closed before its reply.
   */
  #withoutLost(target: TargetState, window: Window, index: number): Window {
    if (target.spec.unix === undefined && !isUdp(target.spec)) return window;
    const quiet = window.arrivals === 0 && window.requests === 0;
    const missing = quiet ? Math.max(0, window.inFlight - this.#walk.found(index).inFlight) : 0;
    const lost = Math.min(missing, target.missing);
    target.missing = missing - lost;
    return lost === 0 ? window : target.reader.abandon(window, lost);
  }

  #withAge(window: Window, walkedAs: number) {
    return { ...window, oldestInFlightNs: window.inFlight > 0 ? this.#walk.found(walkedAs).oldestNs : 0 };
  }

  /** Where targets listen that are more than ports. */
  #followTargets(nowNs: bigint): void {
    if (this.#found.every((found) => found === undefined) || !this.#resolver.isDue(nowNs)) return;
    const listeners = this.#resolver.look();
    const sockets = this.#unixSockets?.follow() ?? [];
    this.#found = this.#found.map((found, index) =>
      found === undefined ? undefined : listeners[index]!.length > 0 || sockets[index] === true,
    );
    const left = this.#ports.follow(listeners);
    if (left.length > 0) this.#log?.('warn', `${left.length} listening sockets are not observed: there are too many`);
  }

  /** By target. */
  #readers(): number[][] {
    const pids: number[][] = this.#targets.map(() => []);
    for (const [key] of this.#object.map('readers').entries()) {
      const words = new Uint32Array(key.slice().buffer);
      pids[words[READER_KEY.target / 4]!]?.push(words[READER_KEY.tgid / 4]!);
    }
    return pids;
  }

  #lookAtProcesses(nowNs: bigint): void {
    // A few at a time: a look takes time for each thread, and a read must not take all of them at once.
    const due = this.#targets.filter(({ cpu }) => cpu.isDue(nowNs)).slice(0, this.#looksARead);
    if (!this.#pidsAreOurs || due.length === 0) return;
    const pids = this.#readers();
    for (const target of due) {
      const index = this.#targets.indexOf(target);
      this.#forgetReaders(index, target.cpu.look(pids[index]!));
    }
  }

  /** Or a process of somebody else's that gets the id of one that has ended would be taken for the target's. */
  #forgetReaders(target: number, pids: readonly number[]): void {
    const readers = this.#object.map('readers');
    for (const pid of pids) {
      const words = new Uint32Array(2);
      words[READER_KEY.target / 4] = target;
      words[READER_KEY.tgid / 4] = pid;
      readers.delete(new Uint8Array(words.buffer));
    }
  }
}

/** Requests of either unit raise the target's alarms. */
const requestsOfBothUnits = ({ requests, http2 }: FiguresByUnit) => requests + (http2?.otherUnit.requests ?? 0);

const hasUnix = (targets: readonly TargetSpec[]) => targets.some(({ unix }) => unix !== undefined);

/** Before anything was seen. */
const firstUnit = ({ protocol }: TargetSpec): RequestUnit =>
  protocol === 'http2' ? 'stream' : protocol === 'connection' ? 'connection' : 'turn';

function chooseConnections(object: BpfObject, memory: MappedMemory, targets: readonly TargetSpec[]): void {
  const { offset } = variableOffset(object.map('.bss'), 'by_connection');
  new Uint8Array(memory.buffer, offset, MAX_TARGETS).set(targets.map((each) => Number(each.protocol === 'connection')));
}

const isUdp = ({ protocol }: TargetSpec) => protocol === 'udp';
const hasUdp = (targets: readonly TargetSpec[]) => targets.some(isUdp);

function aimAtUdp(object: BpfObject, memory: MappedMemory, targets: readonly TargetSpec[]): void {
  const { offset } = variableOffset(object.map('.bss'), 'udp_port_target');
  const table = new Uint8Array(memory.buffer, offset, PORTS);
  targets.forEach((target, index) => {
    if (isUdp(target)) for (const port of target.ports ?? []) table[port] = index + 1;
  });
}

const sameConnections = (a: TargetSpec, b: TargetSpec) =>
  (a.protocol ?? 'auto') === (b.protocol ?? 'auto') && isDeepStrictEqual(placeOf(a), placeOf(b));

/** Ports in any order are the same. */
const placeOf = (place: TargetPlace) =>
  [...PLACES, 'netns' as const].map((key) => (key === 'ports' ? new Set(place.ports) : place[key]));

/** Unix-domain sockets have no sequence numbers, by which frames are followed. */
const maySpeakHttp2 = ({ canParseHttp2 }: Setup, { protocol, unix }: TargetSpec) =>
  canParseHttp2 && unix === undefined && protocol !== 'turns' && protocol !== 'udp';

function load(object: BpfObject, setup: Setup, stripeShift: number): void {
  object.setRodata('extend_gap_ns', bytesOf(new BigUint64Array([BigInt(setup.extendGapNs)])));
  object.setRodata('netns_inum', bytesOf(new Uint32Array([ownNetns()])));
  object.setRodata('by_namespace', new Uint8Array([setup.targets.every(isPlainPorts) ? 0 : 1]));
  object.setRodata('recording', Uint8Array.of(setup.record ? 1 : 0));
  if (setup.record) object.map('recorded').setMaxEntries(RECORDED_BYTES);
  object.setRodata('stripe_shift', bytesOf(new Uint32Array([stripeShift])));
  object.setRodata('exclusive_stripes', new Uint8Array([Number(hasExclusiveStripes(setup, 2 ** stripeShift))]));
  if (setup.method.name === 'syscall') object.setRodata('syscall_roles', syscallRoles(process.arch));
  chooseSecondary(object, setup.secondary);
  if (hasUnix(setup.targets)) object.setRodata('unix_targets', new Uint8Array([1]));
  object.map('udp_peers').setAutocreate(hasUdp(setup.targets));
  for (const probe of setup.method.probes) object.setAutoload(probe.program, setup.probes.includes(probe));
  for (const walk of setup.method.walks) object.setAutoload(walk.program, setup.walks.includes(walk));
  const http2 = setup.targets.some((spec) => maySpeakHttp2(setup, spec));
  object.setRodata('parse_http2', new Uint8Array([Number(http2)]));
  object.setRodata('first_stream_set', bytesOf(new Uint32Array([setup.targets.length])));
  object.map('stripes').setMaxEntries((setup.targets.length * (http2 ? 2 : 1)) << stripeShift);
  object.load();
}

/**
 * Whether one program alone adds to what every request adds to, on each CPU in a stripe of its own. With the other methods
 * several programs complete requests.
 */
const hasExclusiveStripes = ({ method, probes }: Setup, stripes: number) =>
  possibleCpus() <= stripes && method.name === 'tracepoint' && !probes.some(({ at }) => at === PAGE_SENT.at);

const bytesOf = (array: BigUint64Array | Uint32Array): Uint8Array => new Uint8Array(array.buffer);

function stripesOf(object: BpfObject, target: number, stripes: number): Uint32Array[] {
  const { buffer } = object.map('stripes').mmap();
  return Array.from(
    { length: stripes },
    (_, stripe) => new Uint32Array(buffer, (target * stripes + stripe) * STRIPE.words * 4, STRIPE.words),
  );
}

function openAlarms(object: BpfObject, targets: readonly TargetSpec[]): Omit<AlarmSource, 'disarm'> {
  const waiting: Alarm[] = [];
  const ring = new RingBuffer(object.map('alarms'), (bytes) => waiting.push(parseAlarm(bytes, targets)));
  return {
    fd: ring.epollFd,
    drain: () => {
      ring.consume();
      return waiting.splice(0);
    },
  };
}

function parseAlarm(bytes: Uint8Array, targets: readonly TargetSpec[]): Alarm {
  const record = bytes.slice().buffer;
  const words = new Uint32Array(record);
  const kind = (Object.keys(ALARM_BITS) as AlarmKind[]).find((name) => ALARM_BITS[name] === words[ALARM.kind / 4]);
  const target = targets[words[ALARM.target / 4]!];
  if (kind === undefined || target === undefined) {
    throw new Error(`parse an alarm: kind ${words[ALARM.kind / 4]}, target ${words[ALARM.target / 4]} are not known`);
  }
  return { target: target.name, kind, atNs: new BigUint64Array(record)[ALARM.atNs / 8]! };
}
