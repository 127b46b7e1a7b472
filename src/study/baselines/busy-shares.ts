import type { PlantView } from './baseline.ts';

/** @returns what tells, look after look, for which share of the time since the last one each core was busy */
export function busyShares(cores: number): (view: PlantView) => Float64Array {
  const before = new Float64Array(cores);
  const shares = new Float64Array(cores);
  return (view) => {
    for (let core = 0; core < cores; core++) {
      const busyNs = view.busyNs(core);
      shares[core] = Math.min(1, (busyNs - before[core]!) / view.elapsedNs);
      before[core] = busyNs;
    }
    return shares;
  };
}
