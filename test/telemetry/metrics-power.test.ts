import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { corei7_1165g7, packagePowerWatts } from '../../src/core/power-model.ts';
import { configSchema } from '../../src/policy/config-schema.ts';
import { choosePowerModel, type CpuTimes, ModelledPower, readCpuTimes } from '../../src/telemetry/metrics-power.ts';

const DOMAINS = [0, 1, 2, 3].map((core) => ({ id: `policy${core}`, cpus: [core, core + 4] }));
const khzOf = (khz: number) => new Map(DOMAINS.map(({ id }) => [id, khz]));

/** CPU times that a test moves on. */
function machine() {
  const times = new Map<number, CpuTimes>(Array.from({ length: 8 }, (_, cpu) => [cpu, { busy: 0, total: 0 }]));
  const pass = (total: number, busyShare: (cpu: number) => number) => {
    for (const [cpu, before] of times) {
      times.set(cpu, { busy: before.busy + total * busyShare(cpu), total: before.total + total });
    }
  };
  return { pass, read: () => new Map(times) };
}

describe('choosePowerModel()', () => {
  it('knows every model that a config can name', () => {
    const schema = z.toJSONSchema(configSchema, { io: 'input' }) as unknown as {
      properties: { telemetry: { properties: { powerModel: { enum: string[] } } } };
    };
    const names = schema.properties.telemetry.properties.powerModel.enum.filter((name) => !/^(auto|off)$/.test(name));
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(choosePowerModel(name), name).not.toBeNull();
  });

  it('takes the one for this CPU, or none', () => {
    expect(choosePowerModel('auto', () => '11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz')).toBe(corei7_1165g7);
    expect(choosePowerModel('auto', () => 'AMD EPYC 7451 24-Core Processor')).toBeNull();
    expect(choosePowerModel('auto', () => '')).toBeNull();
    expect(choosePowerModel('off', () => 'i7-1165G7')).toBeNull();
  });
});

describe('readCpuTimes()', () => {
  it('reads busy and total time of each CPU, guests not counted twice', () => {
    const text = 'cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 10 1 5 100 20 2 3 4 7 1\ncpu12 0 0 0 50 0 0 0 0 0 0\nintr 1 2\n';
    expect(readCpuTimes(text)).toEqual(
      new Map([
        [0, { busy: 25, total: 145 }],
        [12, { busy: 0, total: 50 }],
      ]),
    );
  });

  it('finds the CPUs of this machine', () => {
    expect(readCpuTimes().size).toBeGreaterThan(0);
  });
});

describe('ModelledPower', () => {
  it('adds up the power of each stretch between two changes of frequency', () => {
    const { pass, read } = machine();
    const power = new ModelledPower(corei7_1165g7, DOMAINS, read);
    power.tick(0, khzOf(4_000_000));
    power.tick(250, khzOf(1_000_000));
    expect(power.watts).toBeNull();
    // Both threads of core 0 half the time each: the core is awake all the time. The others sleep.
    pass(100, (cpu) => (cpu % 4 === 0 ? 0.5 : 0));
    power.tick(1000, khzOf(1_000_000));
    const watts = (khz: number) => packagePowerWatts(corei7_1165g7, [{ frequencyKhz: khz, busy: 1 }]);
    expect(power.energy!.joules).toBeCloseTo(watts(4_000_000) * 0.25 + watts(1_000_000) * 0.75, 9);
    expect(power.energy!.atMs).toBe(1000);
    expect(power.watts).toBeCloseTo(power.energy!.joules, 9);
  });

  it('counts a domain that comes later, and takes one that goes for idle', () => {
    const { pass, read } = machine();
    const power = new ModelledPower(corei7_1165g7, DOMAINS.slice(0, 3), read);
    power.know(DOMAINS);
    power.tick(0, khzOf(4_000_000));
    pass(100, () => 1);
    power.tick(1000, khzOf(4_000_000));
    const core = { frequencyKhz: 4_000_000, busy: 1 };
    expect(power.watts).toBeCloseTo(packagePowerWatts(corei7_1165g7, [core, core, core, core]), 9);
    power.know(DOMAINS.slice(1));
    const khz = new Map([...khzOf(4_000_000)].slice(1));
    power.tick(1000, khz);
    pass(100, () => 1);
    power.tick(2000, khz);
    expect(power.watts).toBeCloseTo(packagePowerWatts(corei7_1165g7, [core, core, core]), 9);
  });

  it('takes CPUs that are not there for idle', () => {
    const power = new ModelledPower(corei7_1165g7, DOMAINS, () => new Map());
    power.tick(0, khzOf(4_000_000));
    power.tick(2000, khzOf(4_000_000));
    expect(power.watts).toBeCloseTo(packagePowerWatts(corei7_1165g7, []), 9);
  });

  it('never takes energy back, and is not confused by a tick at the same time', () => {
    const { read } = machine();
    const power = new ModelledPower(corei7_1165g7, DOMAINS, read);
    let before = 0;
    for (const atMs of [0, 0, 700, 1400, 1400, 1300, 2600]) {
      power.tick(atMs, khzOf(2_000_000));
      expect(power.energy!.joules).toBeGreaterThanOrEqual(before);
      before = power.energy!.joules;
    }
    expect(before).toBeGreaterThan(0);
  });
});
