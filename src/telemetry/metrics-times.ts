import { Histogram } from '../core/histogram.ts';
import type { Snapshot } from '../core/sensor.ts';

/** How long a service's requests took. */
export type ServiceTimes = Readonly<Record<TimeName, Histogram>>;

/** The same of one window, as it crosses from the loop's thread to the main one: only the buckets that hold something. */
export type TimesMessage = Readonly<Record<TimeName, { readonly inUse: readonly number[]; readonly sumNs: number }>>;

type TimeName = 'latency' | 'socketWait' | 'handlingTime';

/** @returns null where nothing completed: there is nothing to tell */
export function timesMessage({ latency, socketWait, handlingTime }: ServiceTimes): TimesMessage | null {
  if (latency.count === 0 && socketWait.count === 0 && handlingTime.count === 0) return null;
  const plain = ({ inUse, sumNs }: Histogram) => ({ inUse, sumNs });
  return { latency: plain(latency), socketWait: plain(socketWait), handlingTime: plain(handlingTime) };
}

export const noTimes = (): ServiceTimes => ({
  latency: new Histogram(),
  socketWait: new Histogram(),
  handlingTime: new Histogram(),
});

export function addWindow(to: ServiceTimes, { latency, socketWait, handlingTime }: Snapshot): void {
  if (latency.count !== 0) to.latency.add(latency);
  if (socketWait.count !== 0) to.socketWait.add(socketWait);
  if (handlingTime.count !== 0) to.handlingTime.add(handlingTime);
}

export function addTimes(to: ServiceTimes, { latency, socketWait, handlingTime }: TimesMessage): void {
  to.latency.addInUse(latency.inUse, latency.sumNs);
  to.socketWait.addInUse(socketWait.inUse, socketWait.sumNs);
  to.handlingTime.addInUse(handlingTime.inUse, handlingTime.sumNs);
}
