import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Lease } from '../../src/daemon/lease.ts';

describe('Lease', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void vi.useRealTimers());

  const start = () => {
    const ended = vi.fn<() => void>();
    return { ended, lease: new Lease({ wallMs: () => Date.now() }, ended) };
  };

  it('ends once, when its time is over', () => {
    const { lease, ended } = start();
    expect([lease.held, lease.endsAt]).toEqual([false, null]);
    lease.hold(5000);
    expect(lease.endsAt).toEqual(new Date(1_005_000));
    vi.advanceTimersByTime(4999);
    expect(ended).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(lease.held).toBe(false);
    vi.advanceTimersByTime(60_000);
    expect(ended).toHaveBeenCalledOnce();
  });

  it('counts from the last time that it was asked for, be that longer or shorter', () => {
    const { lease, ended } = start();
    lease.hold(5000);
    vi.advanceTimersByTime(4000);
    lease.hold(5000);
    vi.advanceTimersByTime(4000);
    expect(ended).not.toHaveBeenCalled();
    lease.hold(10);
    vi.advanceTimersByTime(10);
    expect(ended).toHaveBeenCalledOnce();
  });

  it('does not end after it was dropped, and can be held again', () => {
    const { lease, ended } = start();
    lease.hold(5000);
    lease.drop();
    vi.advanceTimersByTime(60_000);
    expect([lease.held, ended.mock.calls.length]).toEqual([false, 0]);
    lease.hold(1);
    vi.advanceTimersByTime(1);
    expect(ended).toHaveBeenCalledOnce();
  });
});
