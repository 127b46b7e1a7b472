import type { RequestUnit, Snapshot, UnitFigures } from '../core/sensor.ts';
import type { Window } from './window-reader.ts';

/** Of one unit, with the age of the oldest request in flight, which a walk over the connections finds. */
type AgedWindow = Window & Pick<Snapshot, 'oldestInFlightNs'>;

/** The part of a snapshot that is told in units of requests. */
export type FiguresByUnit = UnitFigures & Pick<Snapshot, 'http2'>;

/**
 * A target's turns and its streams, kept apart. The unit with more requests in the window is the snapshot's own, so that what is
 * governed by is what is mostly served; where there are as many, more arrivals and then more in flight decide, and where these
 * are as many, too, the unit stays what it was.
 *
 * @param streams undefined where connections are not looked at for HTTP/2
 * @param before of the target's last snapshot; HTTP/2 that was seen once is told of from then on
 */
export function figuresByUnit(
  turns: AgedWindow,
  streams: AgedWindow | undefined,
  before: { readonly unit: RequestUnit; readonly http2WasSeen: boolean },
): FiguresByUnit {
  const byTurn = unitFigures(before.unit === 'connection' ? 'connection' : 'turn', turns);
  if (streams === undefined || (streams.connections === 0 && !before.http2WasSeen)) return byTurn;
  const byStream = unitFigures('stream', streams);
  const more =
    streams.requests - turns.requests || streams.arrivals - turns.arrivals || streams.inFlight - turns.inFlight;
  const unit = more === 0 ? before.unit : more > 0 ? 'stream' : 'turn';
  return {
    ...(unit === 'stream' ? byStream : byTurn),
    http2: {
      turnConnections: turns.connections,
      streamConnections: streams.connections,
      lostConnections: streams.lost,
      streaming: streams.streaming,
      firstResponse: streams.firstResponse,
      otherUnit: unit === 'stream' ? byTurn : byStream,
    },
  };
}

/** These figures alone, of whatever has them. */
export function unitFigures(unit: RequestUnit, window: Omit<UnitFigures, 'unit'>): UnitFigures {
  return {
    unit,
    arrivals: window.arrivals,
    requests: window.requests,
    overSlo: window.overSlo,
    abandoned: window.abandoned,
    unsolicited: window.unsolicited,
    dropped: window.dropped,
    inFlight: window.inFlight,
    oldestInFlightNs: window.oldestInFlightNs,
    latency: window.latency,
    socketWait: window.socketWait,
    handlingTime: window.handlingTime,
  };
}
