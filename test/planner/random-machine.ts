import fc from 'fast-check';
import type { CpuPlace, FrequencyDomain, Machine } from '../../src/core/machine.ts';
import { cpuId, kiloHertz } from '../../src/core/units.ts';

const STEPS = [800_000, 1_200_000, 1_600_000, 2_000_000, 2_400_000].map(kiloHertz);

export interface Shape {
  readonly packages: number;
  readonly nodesPerPackage: number;
  readonly coresPerNode: number;
  readonly threads: number;
  readonly coresPerDomain: number;
  readonly stepped: boolean;
}

/** CPUs are numbered as Linux does it on x86: the first threads of all cores, then the second ones. */
export function machineOf({
  packages,
  nodesPerPackage,
  coresPerNode,
  threads,
  coresPerDomain,
  stepped,
}: Shape): Machine {
  const cores = packages * nodesPerPackage * coresPerNode;
  const places = Array.from({ length: cores * threads }, (_, cpu): CpuPlace => {
    const core = cpu % cores;
    const node = Math.floor(core / coresPerNode);
    return { cpu: cpuId(cpu), core, node, package: Math.floor(node / nodesPerPackage) };
  });
  const range = { minKhz: STEPS[0]!, maxKhz: STEPS.at(-1)!, allowedMinKhz: STEPS[0]!, allowedMaxKhz: STEPS.at(-1)! };
  const domains: FrequencyDomain[] = [];
  for (let first = 0; first < cores; first += coresPerDomain) {
    const cpus = places.filter(({ core }) => core >= first && core < first + coresPerDomain).map(({ cpu }) => cpu);
    domains.push({ id: `policy${first}`, cpus, ...range, stepsKhz: stepped ? STEPS : null });
  }
  return { cpus: places.map(({ cpu }) => cpu), domains, places };
}

export const shapes = fc.record<Shape>({
  packages: fc.integer({ min: 1, max: 2 }),
  nodesPerPackage: fc.integer({ min: 1, max: 2 }),
  coresPerNode: fc.integer({ min: 1, max: 6 }),
  threads: fc.integer({ min: 1, max: 2 }),
  coresPerDomain: fc.integer({ min: 1, max: 4 }),
  stepped: fc.boolean(),
});
