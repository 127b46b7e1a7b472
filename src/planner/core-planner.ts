import type { Level } from '../core/controller.ts';
import type { FrequencyDomain, Machine, OperatingPoint } from '../core/machine.ts';
import type { CoreLimits, LevelRequest, Plan, PlanLimits, Planner } from '../core/planner.ts';
import type { PowerModel } from '../core/power-model.ts';
import type { CpuId, KiloHertz } from '../core/units.ts';
import { cheapestPoint, type CorePoint, type PointSearch } from './cheapest-point.ts';
import { chooseCores } from './choose-cores.ts';
import { frequencyFor, type Ladder, ladderOf, rungsOf } from './ladder.ts';
import { physicalCores, type PhysicalCore } from './physical-cores.ts';

export interface CorePlannerOptions {
  readonly limits: PlanLimits;
  readonly strategy: 'cores' | 'pack';
  readonly services: readonly CoreLimits[];
  /** null where none is known: then `pack` takes the fewest cores first. */
  readonly power: PowerModel | null;
}

/** What a service may be given of this machine. */
interface Allotment {
  readonly limits: CoreLimits;
  readonly cores: readonly PhysicalCore[];
  readonly cpus: readonly CpuId[];
  readonly minCores: number;
  /** Σ of the highest frequencies of its CPUs. */
  readonly capacity: number;
}

/** What a service asks for, and the CPUs that it has. */
interface Wish {
  readonly request: LevelRequest;
  readonly allotment: Allotment;
  readonly now: readonly CpuId[];
  readonly point: CorePoint;
}

/** Where a CPU has no cpufreq, all that counts is that it is there. */
const UNGOVERNED_KHZ = 1;
const EPSILON = 1e-9;

/**
 * Plans CPUs, and with `pack` frequency too. A service's level is a share of what it may have: Σ frequency of its CPUs ÷ Σ
 * highest frequency of all CPUs but the reserved. Services get cores of their own while there are enough; in a domain that they
 * share the highest frequency wins. A CPU that no service has at present runs as fast as the fastest that one has, so that
 * nothing else on the machine is slower than what is governed; a domain that no service may use stays at full speed.
 */
export function createCorePlanner(machine: Machine, options: CorePlannerOptions): Planner {
  const { limits, strategy, services, power } = options;
  const ladders = machine.domains.map((domain) => ladderOf(domain, limits));
  const domainOf = new Map(machine.domains.flatMap((domain) => domain.cpus.map((cpu) => [cpu, domain] as const)));
  const highestKhz = Math.max(UNGOVERNED_KHZ, ...machine.domains.map(({ maxKhz }) => maxKhz));
  const maxKhzOf = (cpu: CpuId): number => domainOf.get(cpu)?.maxKhz ?? UNGOVERNED_KHZ;
  const capacityOf = (cpus: readonly CpuId[]) => cpus.reduce((sum, cpu) => sum + maxKhzOf(cpu), 0);
  const allotments = new Map(services.map((service) => [service.service, allot(service)]));
  const usable = new Set([...allotments.values()].flatMap(({ cpus }) => cpus));
  const longest = ladders.find(({ domain }) => domain.maxKhz === highestKhz);
  const rungs = longest === undefined ? [1] : rungsOf(longest);

  const full: OperatingPoint = {
    frequencyKhz: Object.fromEntries(ladders.map((ladder) => [ladder.domain.id, frequencyFor(ladder, 1)])),
    cpus: Object.fromEntries([...allotments.values()].flatMap(({ limits: { service }, cpus }) => named(service, cpus))),
  };

  function allot(service: CoreLimits): Allotment {
    const cores = physicalCores(machine, service.reserved);
    const cpus = cpusOf(cores);
    let minCores = 0;
    for (let has = 0; has < service.minCpus && minCores < cores.length; minCores++) has += cores[minCores]!.cpus.length;
    return { limits: service, cores, cpus, minCores: Math.max(1, minCores), capacity: capacityOf(cpus) };
  }

  const khzIn = (point: OperatingPoint, domain: FrequencyDomain): number =>
    point.frequencyKhz[domain.id] ?? full.frequencyKhz[domain.id]!;

  const levelOf = (point: OperatingPoint, service: string): Level => {
    const allotment = allotments.get(service);
    if (allotment === undefined || allotment.capacity === 0) return 1;
    const may = new Set(allotment.cpus);
    const cpus = point.cpus[service]?.filter((cpu) => may.has(cpu)) ?? allotment.cpus;
    const granted = cpus.reduce((sum, cpu) => {
      const domain = domainOf.get(cpu);
      return sum + (domain === undefined ? UNGOVERNED_KHZ : khzIn(point, domain));
    }, 0);
    return granted / allotment.capacity;
  };

  /** How many cores, and how fast. */
  function wanted({ cores, minCores }: Allotment, request: LevelRequest, now: readonly CpuId[] | undefined): CorePoint {
    const least = Math.min(cores.length, Math.max(minCores, Math.ceil(request.level * cores.length - EPSILON)));
    if (strategy === 'cores') return { cores: least, share: 1 };
    if (power === null) return { cores: least, share: (request.level * cores.length) / least };
    const search: PointSearch = { power, maxKhz: highestKhz, coreCount: cores.length, minCores, rungs };
    const has = new Set(now);
    const nowCores =
      now === undefined ? undefined : cores.filter((core) => core.cpus.some((cpu) => has.has(cpu))).length;
    return cheapestPoint(search, request.level, request.loadRatio ?? request.level, nowCores);
  }

  /** Where cores differ (big and little, a thread that is reserved) the chosen ones may be worth less than the mean: then more. */
  function chooseEnough(wishes: readonly Wish[]): ReadonlyMap<string, readonly PhysicalCore[]> {
    const counts = wishes.map(({ point }) => point.cores);
    for (;;) {
      const chosen = chooseCores(
        wishes.map(({ request, allotment, now }, index) => {
          return { service: request.service, count: counts[index]!, eligible: allotment.cores, now };
        }),
      );
      const short = wishes.map(({ request: { service, level }, allotment: { cores, capacity } }, index) => {
        const enough = capacityOf(cpusOf(chosen.get(service)!)) >= level * capacity * (1 - EPSILON);
        return !enough && counts[index]! < cores.length;
      });
      if (!short.includes(true)) return chosen;
      short.forEach((more, index) => (counts[index]! += more ? 1 : 0));
    }
  }

  return {
    machine,
    full,
    levelOf,
    plan(requests, from): Plan {
      if (requests.length === 0) return { point: full, levels: {} };
      const wishes = requests.flatMap((request): readonly Wish[] => {
        const allotment = allotments.get(request.service);
        if (allotment === undefined || allotment.cores.length === 0) return [];
        const now = from?.cpus[request.service];
        return [{ request, allotment, now: now ?? [], point: wanted(allotment, request, now) }];
      });
      const chosen = chooseEnough(wishes);
      /** By domain: the highest share of its maximum that a service asks of it. */
      const shares = new Map<string, number>();
      const cpus: Record<string, readonly CpuId[]> = {};
      let highest = 0;
      for (const { request, allotment, point } of wishes) {
        const granted = cpusOf(chosen.get(request.service)!);
        cpus[request.service] = [...granted].sort((a, b) => a - b);
        const needed = Math.min(1, (request.level * allotment.capacity) / capacityOf(granted));
        const share = strategy === 'cores' ? 1 : Math.max(point.share, needed);
        highest = Math.max(highest, share);
        for (const cpu of granted) {
          const id = domainOf.get(cpu)?.id;
          if (id !== undefined) shares.set(id, Math.max(shares.get(id) ?? 0, share));
        }
      }
      // A service that may have no CPU of its own keeps what it has, wherever that is.
      const unplanned = requests.some(({ service }) => (allotments.get(service)?.cores.length ?? 0) === 0);
      const shareOf = ({ domain }: Ladder): number => {
        if (unplanned || !domain.cpus.some((cpu) => usable.has(cpu))) return 1;
        return shares.get(domain.id) ?? highest;
      };
      const frequencyKhz: Record<string, KiloHertz> = {};
      for (const ladder of ladders) frequencyKhz[ladder.domain.id] = frequencyFor(ladder, shareOf(ladder));
      const point = { frequencyKhz, cpus };
      return { point, levels: Object.fromEntries(requests.map(({ service }) => [service, levelOf(point, service)])) };
    },
  };
}

const named = (service: string, cpus: readonly CpuId[]): [string, readonly CpuId[]][] =>
  cpus.length === 0 ? [] : [[service, [...cpus].sort((a, b) => a - b)]];

const cpusOf = (cores: readonly PhysicalCore[]): readonly CpuId[] => cores.flatMap((core) => core.cpus);
