import type { CpuId } from '../core/units.ts';
import type { PhysicalCore } from './physical-cores.ts';

/** What one service is to have. */
export interface CoreDemand {
  readonly service: string;
  /** How many of `eligible`, at least 1. */
  readonly count: number;
  /** In the order in which they are filled. */
  readonly eligible: readonly PhysicalCore[];
  /** The CPUs that it has now. */
  readonly now: readonly CpuId[];
}

/**
 * Which cores each service gets. It keeps what it has; it grows inside its node, then inside its package, and shrinks from the
 * end; cores are shared only when no free one is left. Earlier demands choose first.
 */
export function chooseCores(demands: readonly CoreDemand[]): ReadonlyMap<string, readonly PhysicalCore[]> {
  /** By CPU: how many services have it. */
  const holders = new Map<number, number>();
  const chosen = demands.map((demand) => ({ demand, cores: kept(demand, holders) }));
  for (const { demand, cores } of chosen) grow(demand, cores, holders);
  return new Map(chosen.map(({ demand, cores }) => [demand.service, inOrder(demand, cores)]));
}

/** A whole core is kept though one of its CPUs was away; one that an earlier service keeps is not. */
function kept({ count, eligible, now }: CoreDemand, holders: Map<number, number>): PhysicalCore[] {
  const has = new Set(now);
  const cores = eligible.filter((core) => core.cpus.some((cpu) => has.has(cpu)) && heldBy(core, holders) === 0);
  const cut = shrunk(cores, count);
  for (const core of cut) hold(core, holders);
  return cut;
}

/** What is furthest from the rest goes first: the package, then the node, with the fewest of them, and there the last. */
function shrunk(cores: readonly PhysicalCore[], count: number): PhysicalCore[] {
  const left = [...cores];
  while (left.length > count) {
    const alike = (core: PhysicalCore, key: 'package' | 'node') =>
      left.filter((other) => other[key] === core[key]).length;
    let worst = 0;
    for (let index = 1; index < left.length; index++) {
      const [a, b] = [left[index]!, left[worst]!];
      if ((alike(a, 'package') - alike(b, 'package') || alike(a, 'node') - alike(b, 'node')) <= 0) worst = index;
    }
    left.splice(worst, 1);
  }
  return left;
}

function grow({ count, eligible }: CoreDemand, cores: PhysicalCore[], holders: Map<number, number>): void {
  while (cores.length < Math.min(count, eligible.length)) {
    const candidates = eligible.filter((core) => !cores.includes(core));
    const free = candidates.filter((core) => heldBy(core, holders) === 0);
    const freeIn = (node: number) => free.filter((core) => core.node === node).length;
    const cost = (core: PhysicalCore): readonly number[] => [
      heldBy(core, holders),
      Number(cores.length > 0 && cores.every(({ package: other }) => other !== core.package)),
      Number(cores.length > 0 && cores.every(({ node }) => node !== core.node)),
      cores.length === 0 ? -freeIn(core.node) : 0,
    ];
    const next = candidates
      .map((core) => ({ core, cost: cost(core) }))
      .reduce((a, b) => (compare(b.cost, a.cost) < 0 ? b : a));
    cores.push(next.core);
    hold(next.core, holders);
  }
}

const heldBy = (core: PhysicalCore, holders: ReadonlyMap<number, number>) =>
  Math.max(0, ...core.cpus.map((cpu) => holders.get(cpu) ?? 0));
function hold(core: PhysicalCore, holders: Map<number, number>): void {
  for (const cpu of core.cpus) holders.set(cpu, (holders.get(cpu) ?? 0) + 1);
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) if (value !== b[index]!) return value - b[index]!;
  return 0;
}

const inOrder = ({ eligible }: CoreDemand, cores: readonly PhysicalCore[]) =>
  eligible.filter((core) => cores.includes(core));
