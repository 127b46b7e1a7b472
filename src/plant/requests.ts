import { createArrivalSource } from './arrivals.ts';
import { SampleStream } from './distribution.ts';
import { Random, scramble } from './random.ts';
import type { ServiceModel } from './service-model.ts';

/** What a service will be asked, columns by request, in order of arrival. */
export interface RequestList {
  readonly arrivalsNs: Float64Array;
  readonly demandsNs: Float64Array;
}

/** The demands of a service in a simulation with this seed, by order of arrival. */
export function demandsOf({ demand, name }: ServiceModel, seed: number): SampleStream {
  return new SampleStream(demand, new Random(seed, `demand of ${name}`));
}

/** Decides on which of its connections each request of a service comes, by order of arrival. */
export function connectionsOf({ name }: ServiceModel, seed: number): Random {
  return new Random(seed, `connections of ${name}`);
}

/** The worker that a connection belongs to: there is one for each core of the machine. */
export function workerOf(connection: number, cores: number): number {
  return (scramble(connection + 1) >>> 0) % cores;
}

/**
 * The very requests that a simulation with this seed brings up to and including `untilNs`: what a clairvoyant may know.
 *
 * @throws RangeError for closed-loop clients, who ask when they have been answered
 */
export function listRequests(service: ServiceModel, seed: number, untilNs: number): RequestList {
  if (service.arrivals.kind === 'closed') {
    throw new RangeError(`cannot list the requests of ${service.name}: its clients wait for their replies`);
  }
  const begin = () => createArrivalSource(service.arrivals, service.trace, seed, service.name);
  let count = 0;
  for (const source = begin(); source.nextNs <= untilNs; source.take()) count++;
  const source = begin();
  const demands = demandsOf(service, seed);
  const list = { arrivalsNs: new Float64Array(count), demandsNs: new Float64Array(count) };
  for (let i = 0; i < count; i++) {
    list.arrivalsNs[i] = source.nextNs;
    list.demandsNs[i] = demands.next();
    source.take();
  }
  return list;
}

/**
 * The same, queue by queue: a single one where it is central, one for each core where connections belong to cores. All cores
 * of the machine serve.
 *
 * @throws RangeError for closed-loop clients
 */
export function listQueues(
  service: ServiceModel,
  seed: number,
  untilNs: number,
  cores: number,
): readonly RequestList[] {
  const all = listRequests(service, seed, untilNs);
  if (service.dispatch.kind === 'central') return [all];
  const { connections } = service.dispatch;
  const random = connectionsOf(service, seed);
  const homes = new Uint16Array(all.arrivalsNs.length);
  const counts = new Float64Array(cores);
  for (let i = 0; i < homes.length; i++) {
    const home = workerOf(random.nextUint32() % connections, cores);
    homes[i] = home;
    counts[home]!++;
  }
  const lists = Array.from(counts, (count) => ({
    arrivalsNs: new Float64Array(count),
    demandsNs: new Float64Array(count),
  }));
  counts.fill(0);
  homes.forEach((home, i) => {
    const at = counts[home]!++;
    lists[home]!.arrivalsNs[at] = all.arrivalsNs[i]!;
    lists[home]!.demandsNs[at] = all.demandsNs[i]!;
  });
  return lists;
}
