import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { holdingSignals } from '../../src/native/signal-mask.ts';

/** What the calling thread holds back, bit i for signal i + 1. */
function heldBack(): bigint {
  const status = readFileSync('/proc/thread-self/status', 'utf8');
  return BigInt(`0x${/^SigBlk:\s+([0-9a-f]+)$/m.exec(status)![1]!}`);
}

const isHeld = (mask: bigint, signal: number) => (mask & (1n << BigInt(signal - 1))) !== 0n;
const [SIGILL, SIGSEGV, SIGTERM, SIGPROF] = [4, 11, 15, 27];

describe('holdingSignals()', () => {
  it('holds back what comes from outside, and not what the thread does itself', () => {
    const held = holdingSignals(heldBack);
    expect([SIGTERM, SIGPROF].map((signal) => isHeld(held, signal))).toEqual([true, true]);
    expect([SIGILL, SIGSEGV].map((signal) => isHeld(held, signal))).toEqual([false, false]);
  });

  it('leaves the mask as it was, also after a failure and when nested', () => {
    const before = heldBack();
    expect(holdingSignals(() => (holdingSignals(() => undefined), isHeld(heldBack(), SIGTERM)))).toBe(true);
    expect(() =>
      holdingSignals(() => {
        throw new Error('refused');
      }),
    ).toThrow('refused');
    expect(heldBack()).toBe(before);
  });
});
