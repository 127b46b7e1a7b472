import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../src/core/histogram.ts';
import { figuresByUnit } from '../../src/sensor/figures-by-unit.ts';
import type { Window } from '../../src/sensor/window-reader.ts';

const windowOf = (figures: Partial<Window & { oldestInFlightNs: number }>) => ({
  arrivals: figures.requests ?? 0,
  requests: 0,
  abandoned: 0,
  overSlo: 0,
  unsolicited: 0,
  dropped: 0,
  inFlight: 0,
  oldestInFlightNs: 0,
  latency: new Histogram(),
  socketWait: new Histogram(),
  handlingTime: new Histogram(),
  firstResponse: new Histogram(),
  connections: 0,
  lost: 0,
  streaming: 0,
  ...figures,
});

const NEW_TARGET = { unit: 'turn', http2WasSeen: false } as const;

describe('figuresByUnit()', () => {
  it.each([
    ['are not looked at for HTTP/2', undefined],
    ['have not spoken it', windowOf({})],
  ])('tells of turns alone where connections %s', (_, streams) => {
    const turns = windowOf({ requests: 3, connections: 2, oldestInFlightNs: 7 });
    const figures = figuresByUnit(turns, streams, NEW_TARGET);
    expect(figures).toMatchObject({ unit: 'turn', arrivals: 3, requests: 3, oldestInFlightNs: 7 });
    expect(figures).not.toHaveProperty('http2');
    expect(figures).not.toHaveProperty('connections');
  });

  it('puts the unit with more requests first and keeps the other beside it', () => {
    const latency = Histogram.of([100]);
    const firstResponse = Histogram.of([40]);
    const turns = windowOf({ requests: 2, inFlight: 1, oldestInFlightNs: 5, connections: 4 });
    const streams = windowOf({ requests: 3, streaming: 1, lost: 1, connections: 2, latency, firstResponse });
    const figures = figuresByUnit(turns, streams, NEW_TARGET);
    expect(figures).toMatchObject({ unit: 'stream', requests: 3, inFlight: 0, oldestInFlightNs: 0 });
    expect(figures.latency).toBe(latency);
    expect(figures.http2).toMatchObject({ turnConnections: 4, streamConnections: 2, lostConnections: 1, streaming: 1 });
    expect(figures.http2!.firstResponse).toBe(firstResponse);
    expect(figures.http2!.otherUnit).toMatchObject({ unit: 'turn', requests: 2, inFlight: 1, oldestInFlightNs: 5 });
  });

  it('goes on telling of HTTP/2 in windows in which no connection began', () => {
    const figures = figuresByUnit(windowOf({}), windowOf({}), { unit: 'stream', http2WasSeen: true });
    expect(figures).toMatchObject({ unit: 'stream', requests: 0 });
    expect(figures.http2).toMatchObject({ streamConnections: 0, otherUnit: { unit: 'turn' } });
  });

  it('never adds units up, tells of both, and stays with its unit where there are as many of each', () => {
    const count = fc.nat(3);
    const before = fc.record({ unit: fc.constantFrom('turn', 'stream'), http2WasSeen: fc.constant(true) });
    fc.assert(
      fc.property(count, count, before, (turns, streams, last) => {
        const figures = figuresByUnit(windowOf({ requests: turns }), windowOf({ requests: streams }), last);
        const other = figures.http2!.otherUnit;
        const requests = new Map([figures, other].map((each) => [each.unit, each.requests]));
        expect(requests).toEqual(
          new Map([
            ['turn', turns],
            ['stream', streams],
          ]),
        );
        expect(figures.requests).toBeGreaterThanOrEqual(other.requests);
        if (turns === streams) expect(figures.unit).toBe(last.unit);
      }),
    );
  });
});
