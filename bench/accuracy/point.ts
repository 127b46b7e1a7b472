import type { Snapshot } from '../../src/core/sensor.ts';
import { NS_PER_S, NS_PER_US } from '../../src/core/units.ts';
import { type ClientView, quantileOf } from './open-loop.ts';

export interface Times {
  readonly p50Us: number;
  readonly p95Us: number;
  readonly p99Us: number;
}

export interface ClientTimes extends Times {
  readonly requests: number;
  readonly unanswered: number;
  readonly rps: number;
  readonly busyRatio: number | null;
  readonly p99FromDueUs: number;
}

export interface SensorTimes extends Times {
  readonly method: string;
  readonly unit: string;
  readonly requests: number;
  readonly rps: number;
  readonly dropped: number;
}

/** One load on one server, as the client and each method of the sensor saw it. */
export interface AccuracyPoint {
  readonly subject: string;
  readonly what: string;
  /** Of the capacity that was found. */
  readonly share: number;
  readonly rate: number;
  readonly client: ClientTimes;
  readonly sensors: readonly SensorTimes[];
}

export interface AccuracyRun {
  readonly at: string;
  readonly seconds: number;
  readonly methods: readonly string[];
  readonly points: readonly AccuracyPoint[];
}

export function clientTimes(view: ClientView): ClientTimes {
  const us = (times: Float64Array, share: number) => quantileOf(times, share) / NS_PER_US;
  return {
    requests: view.requests,
    unanswered: view.unanswered,
    rps: view.requests / view.seconds,
    busyRatio: view.busyRatio,
    p50Us: us(view.fromWriteNs, 0.5),
    p95Us: us(view.fromWriteNs, 0.95),
    p99Us: us(view.fromWriteNs, 0.99),
    p99FromDueUs: us(view.fromDueNs, 0.99),
  };
}

export function sensorTimes({ method, unit, requests, windowNs, dropped, latency }: Snapshot): SensorTimes {
  const us = (share: number) => latency.quantileNs(share) / NS_PER_US;
  return {
    method,
    unit,
    requests,
    rps: requests / (windowNs / NS_PER_S),
    dropped,
    p50Us: us(0.5),
    p95Us: us(0.95),
    p99Us: us(0.99),
  };
}
