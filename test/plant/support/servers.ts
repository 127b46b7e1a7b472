import { type KiloHertz, kiloHertz } from '../../../src/core/units.ts';
import type { PowerModel } from '../../../src/core/power-model.ts';
import { type DomainShape, type ServerModel, uniformMachine } from '../../../src/plant/server-model.ts';

/** 10 W static; a core draws 1 W idle, 1 V² · 2 nF · f busy: 4 W at 2 GHz, 2 W at 1 GHz. */
export const plainPower = (cores: number): PowerModel => ({
  name: 'plain',
  source: 'made up',
  leavesOut: 'everything',
  coreCount: cores,
  staticWatts: 10,
  idleCoreWatts: 1,
  awakeWattsPerVolt: 0,
  capacitanceNf: 2,
  voltages: [{ frequencyKhz: 2_000_000, volts: 1 }],
});

/** 1 to 2 GHz, any frequency in between; frequency changes take no time. */
export function plainServer(
  cores: number,
  overrides: Partial<ServerModel> & { readonly shape?: DomainShape; readonly stepsKhz?: readonly KiloHertz[] } = {},
): ServerModel {
  const { shape = 'package', stepsKhz = null, ...rest } = overrides;
  const range = { minKhz: kiloHertz(1_000_000), maxKhz: kiloHertz(2_000_000), stepsKhz };
  return {
    machine: uniformMachine(cores, range, shape),
    power: plainPower(cores),
    idleStates: [],
    transitionLatencyNs: 0,
    ...rest,
  };
}
