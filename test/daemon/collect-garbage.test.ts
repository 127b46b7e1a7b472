import { describe, expect, it } from 'vitest';
import { garbageCollector } from '../../src/daemon/collect-garbage.ts';

const MB = 2 ** 20;

describe('garbageCollector()', () => {
  it('frees what is old with `all`, and leaves it with `recent`', () => {
    const collect = garbageCollector();
    const heapMb = () => process.memoryUsage().heapUsed / MB;
    let held: unknown[] = Array.from({ length: 300_000 }, (_, at) => ({ at, text: `text ${at}` }));
    // Who has lived through two collections is old.
    for (let round = 0; round < 3; round++) collect('recent');
    const full = heapMb();
    expect(held).toHaveLength(300_000);
    held = [];
    collect('recent');
    expect(full - heapMb()).toBeLessThan(5);
    collect('all');
    expect(full - heapMb()).toBeGreaterThan(10);
  });
});
