/**
 * The first tick of the beat that lies ahead. Those that have passed meanwhile, as while the machine was suspended or the
 * thread got no CPU, are counted and not made up for.
 */
export function nextTick(dueNs: bigint, nowNs: bigint, intervalNs: bigint): { dueNs: bigint; missed: number } {
  const missed = nowNs < dueNs ? 0n : (nowNs - dueNs) / intervalNs;
  return { dueNs: dueNs + (missed + 1n) * intervalNs, missed: Number(missed) };
}
