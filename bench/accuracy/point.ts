import type { RequestUnit, Snapshot } from '../../src/core/sensor.ts';
import { NS_PER_S, NS_PER_US } from '../../src/core/units.ts';
import { type ClientView, quantileOf } from './open-loop.ts';

export interface Times {
  readonly p50Us: number;
  readonly p95Us: number;
  readonly p99Us: number;
}

export interface ClientTimes extends Times {
  readonly requests: number;
  readonly turnsBesides: number;
  readonly unanswered: number;
  readonly rps: number;
  readonly busyRatio: number | null;
  readonly p99FromDueUs: number;
}

export interface SensorTimes extends Times {
  /** How it measured: a method, and what is a request where that is not its own. */
  readonly way: string;
  readonly unit: RequestUnit;
  readonly requests: number;
  readonly rps: number;
  readonly dropped: number;
}

/** One load on one server, as the client and each way of the sensor saw it. */
export interface AccuracyPoint {
  /** Of the capacity that was found. */
  readonly share: number;
  readonly rate: number;
  readonly client: ClientTimes;
  readonly sensors: readonly SensorTimes[];
}

/** All loads on one server. */
export interface Sweep {
  readonly subject: string;
  readonly what: string;
  readonly at: string;
  /** Of a point, or longer where there were few requests. */
  readonly seconds: number;
  readonly capacityRps: number;
  readonly points: readonly AccuracyPoint[];
}

export interface AccuracyRun {
  readonly sweeps: readonly Sweep[];
}

export function clientTimes(view: ClientView): ClientTimes {
  const us = (times: Float64Array, share: number) => quantileOf(times, share) / NS_PER_US;
  return {
    requests: view.requests,
    turnsBesides: view.turnsBesides ?? 0,
    unanswered: view.unanswered,
    rps: view.requests / view.seconds,
    busyRatio: view.busyRatio,
    p50Us: us(view.fromWriteNs, 0.5),
    p95Us: us(view.fromWriteNs, 0.95),
    p99Us: us(view.fromWriteNs, 0.99),
    p99FromDueUs: us(view.fromDueNs, 0.99),
  };
}

export function sensorTimes(way: string, { unit, requests, windowNs, dropped, latency }: Snapshot): SensorTimes {
  const us = (share: number) => latency.quantileNs(share) / NS_PER_US;
  return {
    way,
    unit,
    requests,
    rps: requests / (windowNs / NS_PER_S),
    dropped,
    p50Us: us(0.5),
    p95Us: us(0.95),
    p99Us: us(0.99),
  };
}
