import { createArrivalSource } from './arrivals.ts';
import { SampleStream } from './distribution.ts';
import { Random } from './random.ts';
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

/**
 * The very requests that a simulation with this seed brings up to and including `untilNs`: what a clairvoyant may know.
 *
 * @throws RangeError for closed-loop clients, who ask when they have been answered
 */
export function listRequests(service: ServiceModel, seed: number, untilNs: number): RequestList {
  if (service.arrivals.kind === 'closed') {
    throw new RangeError(`cannot list the requests of ${service.name}: its clients wait for their replies`);
  }
  const source = createArrivalSource(service.arrivals, service.trace, seed, service.name);
  const demands = demandsOf(service, seed);
  const arrivalsNs: number[] = [];
  const demandsNs: number[] = [];
  for (; source.nextNs <= untilNs; source.take()) {
    arrivalsNs.push(source.nextNs);
    demandsNs.push(demands.next());
  }
  return { arrivalsNs: Float64Array.from(arrivalsNs), demandsNs: Float64Array.from(demandsNs) };
}
