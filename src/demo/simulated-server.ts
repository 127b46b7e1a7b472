import { kiloHertz, NS_PER_MS } from '../core/units.ts';
import { type ServerModel, uniformMachine } from '../plant/server-model.ts';
import type { ServiceModel } from '../plant/service-model.ts';
import {
  DEMO_POWER_MODEL,
  FULL_SPEED_KHZ,
  LOWEST_SPEED_KHZ,
  MEAN_CYCLES,
  SERVICE_NAME,
  WORK_AROUND_MS,
} from './demo-settings.ts';
import type { LoadSchedule } from './load-schedule.ts';

/**
 * From a write to the mock's files until its silicon runs at another frequency: the mock is told by the file system, answers
 * in a process of its own, and the server looks four times a millisecond.
 */
const TRANSITION_NS = 2 * NS_PER_MS;

/** The demo's silicon as the plant has it: the core that the server runs on. The others idle, and draw what idle cores do. */
export const demoServer: ServerModel = {
  machine: uniformMachine(
    1,
    { minKhz: kiloHertz(LOWEST_SPEED_KHZ), maxKhz: kiloHertz(FULL_SPEED_KHZ), stepsKhz: null },
    'core',
  ),
  power: DEMO_POWER_MODEL,
  idleStates: [],
  transitionLatencyNs: TRANSITION_NS,
};

/**
 * The demo's server and its load as the plant has them: one worker, the same requests at the same instants for the same
 * cycles, and for each the work around it, which no modelled frequency slows.
 *
 * @param workAroundMs a request
 */
export function demoService(
  { dueMs, cycles }: LoadSchedule,
  sloLatencyNs: number,
  workAroundMs = WORK_AROUND_MS,
): ServiceModel {
  const cyclesMs = MEAN_CYCLES / FULL_SPEED_KHZ;
  return {
    name: SERVICE_NAME,
    sloLatencyNs,
    arrivals: { kind: 'replay', arrivalsNs: dueMs.map((ms) => ms * NS_PER_MS) },
    demand: {
      kind: 'sequence',
      valuesNs: cycles.map((count) => (count / FULL_SPEED_KHZ + workAroundMs) * NS_PER_MS),
    },
    frequencyBoundRatio: cyclesMs / (cyclesMs + workAroundMs),
    dispatch: { kind: 'central' },
  };
}
