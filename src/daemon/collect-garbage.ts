import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Garbage is collected with the help of threads that are ordinary ones: on busy CPUs the loop would wait for them, whatever its
 * own priority (measured: ticks of 10 to 19 ms). The heaps are small, and each thread can do without. To be called before the
 * loop's thread starts. Marking keeps its helpers: that cannot be changed once the program runs.
 */
export function collectGarbageAlone(): void {
  for (const task of ['scavenge', 'compaction', 'pointer-update']) setFlagsFromString(`--no-parallel-${task}`);
}

/** What is young is given no more room than at the start, for there is little of it. Before the loop's thread starts, too. */
export function keepHeapsSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

/**
 * Lets a thread collect its garbage when it has time, so that it need not in the middle of a tick. `all` takes some 10 ms, for
 * after the start; `recent` less than 1 ms when it is called every few seconds. Without options it is all: the V8 of Node 20
 * takes whatever options it is given, `type: 'major'` too, for a wish for a minor collection.
 */
export function garbageCollector(): (which: 'all' | 'recent') => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: { type: 'minor'; execution: 'sync' }) => void;
  return (which) => (which === 'all' ? collect() : collect({ type: 'minor', execution: 'sync' }));
}
