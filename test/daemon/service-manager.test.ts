import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { serviceManager } from '../../src/daemon/service-manager.ts';
import { NotifySocket } from './notify-socket.ts';

const PID = 4711;
const MINUTE_US = '60000000';

let socket: NotifySocket;
let nowMs: number;
const onUnheard = vi.fn();
const clock: Clock = { monotonicNs: () => BigInt(nowMs) * 1_000_000n, wallMs: () => 0 };
const managed = (environment: Record<string, string> = {}) =>
  serviceManager({ environment: { NOTIFY_SOCKET: socket.address, ...environment }, pid: PID, clock, onUnheard });

beforeEach(() => {
  socket = new NotifySocket();
  nowMs = 1000;
  onUnheard.mockReset();
});
afterEach(() => socket.close());

describe('serviceManager()', () => {
  it('says when it is ready, how it is, that it reloads and that it stops', () => {
    const manager = managed();
    manager.ready('governing');
    manager.status('paused');
    manager.reloading();
    manager.ready('governing again');
    manager.stopping('received SIGTERM');
    expect(socket.receive()).toEqual([
      ['READY=1', 'STATUS=governing'],
      ['STATUS=paused'],
      ['RELOADING=1', 'MONOTONIC_USEC=1000000'],
      ['READY=1', 'STATUS=governing again'],
      ['STOPPING=1', 'STATUS=received SIGTERM'],
    ]);
  });

  it('feeds the watchdog once a quarter of its time, however often the loop was seen to move', () => {
    const manager = managed({ WATCHDOG_USEC: '4000000', WATCHDOG_PID: String(PID) });
    const pings: number[] = [];
    for (; nowMs < 5000; nowMs += 250) {
      manager.alive(() => 'governing');
      for (const datagram of socket.receive()) {
        expect(datagram).toEqual(['WATCHDOG=1', 'STATUS=governing']);
        pings.push(nowMs);
      }
    }
    expect(pings).toEqual([1000, 2000, 3000, 4000]);
  });

  it('feeds no watchdog while the loop is not seen to move', () => {
    const manager = managed({ WATCHDOG_USEC: MINUTE_US });
    manager.ready('governing');
    nowMs += 3_600_000;
    expect(socket.receive()).toEqual([['READY=1', 'STATUS=governing']]);
  });

  it.each([
    ['there is none', {}],
    ['it watches another process', { WATCHDOG_USEC: MINUTE_US, WATCHDOG_PID: String(PID + 1) }],
    ['its time is no number', { WATCHDOG_USEC: 'soon' }],
    ['its time is nothing', { WATCHDOG_USEC: '0' }],
  ])('keeps the status fresh, but feeds no watchdog, where %s', (_, environment) => {
    const manager = managed(environment);
    for (; nowMs <= 21_000; nowMs += 500) manager.alive(() => `at ${nowMs}`);
    expect(socket.receive()).toEqual([['STATUS=at 1000'], ['STATUS=at 11000'], ['STATUS=at 21000']]);
  });

  it('makes no status, and no assignment, of further lines', () => {
    const manager = managed();
    manager.stopping('TypeError: x is not a function\nMAINPID=1\n    at govern');
    expect(socket.receive()).toEqual([['STOPPING=1', 'STATUS=TypeError: x is not a function']]);
  });

  it('does nothing where there is no manager', () => {
    const status = vi.fn(() => 'governing');
    const manager = serviceManager({ environment: { WATCHDOG_USEC: MINUTE_US }, pid: PID, clock, onUnheard });
    manager.ready('governing');
    manager.alive(status);
    manager.stopping('');
    expect(status).not.toHaveBeenCalled();
    expect(onUnheard).not.toHaveBeenCalled();
  });

  it('survives a manager that is gone, and says so once', () => {
    const manager = managed();
    socket.close();
    manager.ready('governing');
    manager.status('governing');
    expect(onUnheard).toHaveBeenCalledTimes(1);
    expect(onUnheard).toHaveBeenCalledWith(expect.objectContaining({ errnoName: 'ECONNREFUSED' }));
    socket = new NotifySocket();
  });
});
