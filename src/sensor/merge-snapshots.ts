import type { Snapshot } from '../core/sensor.ts';

/** Two windows of a target that follow one another, as one: counts and histograms add up, states are those of the later. */
export function mergeSnapshots(earlier: Snapshot, later: Snapshot): Snapshot {
  const sum = (count: 'windowNs' | 'arrivals' | 'requests' | 'overSlo' | 'abandoned' | 'unsolicited' | 'dropped') =>
    earlier[count] + later[count];
  const together = (histogram: 'latency' | 'socketWait' | 'handlingTime') => {
    const merged = earlier[histogram].clone();
    merged.add(later[histogram]);
    return merged;
  };
  return {
    ...later,
    windowNs: sum('windowNs'),
    arrivals: sum('arrivals'),
    requests: sum('requests'),
    overSlo: sum('overSlo'),
    abandoned: sum('abandoned'),
    unsolicited: sum('unsolicited'),
    dropped: sum('dropped'),
    latency: together('latency'),
    socketWait: together('socketWait'),
    handlingTime: together('handlingTime'),
    cpuTimeNs: earlier.cpuTimeNs === null || later.cpuTimeNs === null ? null : earlier.cpuTimeNs + later.cpuTimeNs,
  };
}
