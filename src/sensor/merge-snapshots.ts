import type { Histogram } from '../core/histogram.ts';
import { addSecondarySignals } from '../core/secondary-signals.ts';
import type { Http2Figures, RequestUnit, SecondarySignals, Snapshot, UnitFigures } from '../core/sensor.ts';
import { unitFigures } from './figures-by-unit.ts';

/**
 * Two windows of a target that follow one another, as one: counts and histograms add up, states are those of the later. Units
 * are never mixed: where the windows differ in theirs, that of which there were more requests in both together is the whole's.
 */
export function mergeSnapshots(earlier: Snapshot, later: Snapshot): Snapshot {
  const whole = {
    ...later,
    windowNs: earlier.windowNs + later.windowNs,
    cpuTimeNs: earlier.cpuTimeNs === null || later.cpuTimeNs === null ? null : earlier.cpuTimeNs + later.cpuTimeNs,
    ...mergeSecondary(earlier.secondary, later.secondary),
  };
  const own = mergeFigures(figuresOf(earlier, later.unit), figuresOf(later, later.unit));
  if (later.http2 === undefined) return { ...whole, ...own };
  const otherUnit = later.http2.otherUnit.unit;
  const other = mergeFigures(figuresOf(earlier, otherUnit), figuresOf(later, otherUnit));
  const http2 = mergeHttp2(earlier.http2, later.http2);
  return own.requests >= other.requests
    ? { ...whole, ...own, http2: { ...http2, otherUnit: other } }
    : { ...whole, ...other, http2: { ...http2, otherUnit: own } };
}

/** Undefined where the snapshot has nothing in that unit. */
function figuresOf(snapshot: Snapshot, unit: RequestUnit): UnitFigures | undefined {
  const found = [snapshot, snapshot.http2?.otherUnit].find((figures) => figures?.unit === unit);
  return found && unitFigures(unit, found);
}

function mergeFigures(earlier: UnitFigures | undefined, later: UnitFigures | undefined): UnitFigures {
  if (earlier === undefined || later === undefined) return (later ?? earlier)!;
  const sum = (count: 'arrivals' | 'requests' | 'overSlo' | 'abandoned' | 'unsolicited' | 'dropped') =>
    earlier[count] + later[count];
  const together = (histogram: 'latency' | 'socketWait' | 'handlingTime') =>
    sumOf(earlier[histogram], later[histogram]);
  return {
    unit: later.unit,
    arrivals: sum('arrivals'),
    requests: sum('requests'),
    overSlo: sum('overSlo'),
    abandoned: sum('abandoned'),
    unsolicited: sum('unsolicited'),
    dropped: sum('dropped'),
    inFlight: later.inFlight,
    oldestInFlightNs: later.oldestInFlightNs,
    latency: together('latency'),
    socketWait: together('socketWait'),
    handlingTime: together('handlingTime'),
  };
}

function mergeHttp2(earlier: Http2Figures | undefined, later: Http2Figures): Http2Figures {
  if (earlier === undefined) return later;
  return {
    turnConnections: earlier.turnConnections + later.turnConnections,
    streamConnections: earlier.streamConnections + later.streamConnections,
    lostConnections: earlier.lostConnections + later.lostConnections,
    streaming: earlier.streaming + later.streaming,
    firstResponse: sumOf(earlier.firstResponse, later.firstResponse),
    otherUnit: later.otherUnit,
  };
}

function sumOf(earlier: Histogram, later: Histogram): Histogram {
  const merged = earlier.clone();
  merged.add(later);
  return merged;
}

/** An urgent window has none: the next one tells of both. */
function mergeSecondary(earlier: SecondarySignals | undefined, later: SecondarySignals | undefined): Partial<Snapshot> {
  if (earlier === undefined || later === undefined) {
    const known = earlier ?? later;
    return known === undefined ? {} : { secondary: known };
  }
  return { secondary: addSecondarySignals(earlier, later) };
}
