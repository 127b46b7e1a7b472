import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Pauses } from '../../src/daemon/pauses.ts';

describe('Pauses', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void vi.useRealTimers());

  const start = () => {
    const over = vi.fn<() => void>();
    return { over, pauses: new Pauses({ wallMs: () => Date.now() }, over) };
  };

  it('stand until every holder has ended theirs', () => {
    const { pauses, over } = start();
    pauses.hold('measure-1', 5000);
    pauses.hold(null, null);
    expect(pauses.end('measure-1')).toBe(true);
    expect(pauses.any).toBe(true);
    expect(pauses.end(null)).toBe(true);
    expect(pauses.any).toBe(false);
    vi.advanceTimersByTime(60_000);
    expect(over).not.toHaveBeenCalled();
  });

  it('end for everybody where no holder is named', () => {
    const { pauses, over } = start();
    pauses.hold('measure-1', 5000);
    pauses.hold('another', null);
    expect(pauses.end(null)).toBe(true);
    expect([pauses.any, pauses.endsAt]).toEqual([false, null]);
    vi.advanceTimersByTime(60_000);
    expect(over).not.toHaveBeenCalled();
  });

  it('end nothing for who holds none', () => {
    const { pauses } = start();
    expect([pauses.end(null), pauses.end('measure-1')]).toEqual([false, false]);
    pauses.hold(null, null);
    expect(pauses.end('measure-1')).toBe(false);
    expect(pauses.any).toBe(true);
  });

  it('are over once, when the last of them has ended by itself', () => {
    const { pauses, over } = start();
    pauses.hold('short', 1000);
    pauses.hold('long', 3000);
    expect(pauses.endsAt).toEqual(new Date(1_003_000));
    vi.advanceTimersByTime(2999);
    expect([pauses.any, over.mock.calls.length]).toEqual([true, 0]);
    vi.advanceTimersByTime(1);
    expect([pauses.any, over.mock.calls.length]).toEqual([false, 1]);
    vi.advanceTimersByTime(60_000);
    expect(over).toHaveBeenCalledOnce();
  });

  it('are not over while another one lasts', () => {
    const { pauses, over } = start();
    pauses.hold('measure-1', 1000);
    pauses.hold(null, null);
    expect(pauses.endsAt).toBeNull();
    vi.advanceTimersByTime(60_000);
    expect([pauses.any, over.mock.calls.length]).toEqual([true, 0]);
  });

  it('are renewed by their holder, and not shortened where they last', () => {
    const { pauses, over } = start();
    expect(pauses.hold(null, 5000)).toBe(true);
    vi.advanceTimersByTime(4000);
    expect(pauses.hold(null, 5000)).toBe(false);
    expect(pauses.endsAt).toEqual(new Date(1_009_000));
    expect(pauses.hold(null, null)).toBe(true);
    expect([pauses.hold(null, 1), pauses.hold(null, null)]).toEqual([false, false]);
    expect(pauses.endsAt).toBeNull();
    vi.advanceTimersByTime(60_000);
    expect([pauses.any, over.mock.calls.length]).toEqual([true, 0]);
  });
});
