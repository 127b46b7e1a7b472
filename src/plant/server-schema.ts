import { z } from 'zod';
import { durationNs, frequencyKhz } from '../core/quantity-schema.ts';
import { type ServerModel, uniformMachine } from './server-model.ts';

const watts = () => z.number().min(0);

/** The file that `--power` takes: a server's frequencies, power and idle states. docs/simulation.md shows one. */
export const serverSchema = z
  .strictObject({
    name: z.string().min(1).describe('What the server is called in reports'),
    source: z.string().min(1).describe('Where the figures come from, and which are assumed'),
    leavesOut: z.string().default('not said').describe('What the figures do not cover'),
    cores: z.int().min(1).max(1024).describe('Physical cores; all are simulated'),
    domains: z.enum(['core', 'package']).default('core').describe('Which cores change frequency together'),
    frequencies: z.array(frequencyKhz()).min(1).describe('What the cores can run at, ascending'),
    voltages: z
      .array(z.strictObject({ frequency: frequencyKhz(), volts: z.number().positive() }))
      .min(1)
      .describe('Core voltage by frequency, ascending, linear in between'),
    staticWatts: watts().describe('Drawn whatever the cores do: uncore, memory controller, leakage'),
    idleCoreWatts: watts().describe('Of one idle core where no idle states are given'),
    awakeWattsPerVolt: watts().default(0).describe('What an awake core draws besides C·V²·f, per volt'),
    capacitanceNf: watts().describe('C: switched capacitance of a busy core, in W / (GHz · V²)'),
    idleStates: z
      .array(z.strictObject({ name: z.string(), after: durationNs(), wake: durationNs(), watts: watts() }))
      .default([])
      .describe('What an idle core falls into, the shallowest first'),
    transitionLatency: durationNs().prefault('20us').describe('From asking for a frequency to running at it'),
  })
  .check(({ value, issues }) => {
    const mustAscend = (path: readonly string[], values: readonly number[]) => {
      const at = values.findIndex((each, i) => i > 0 && each <= values[i - 1]!);
      if (at < 0) return;
      const message = 'not above the one before it, expected them to ascend';
      issues.push({ code: 'custom', message, path: [path[0]!, at, ...path.slice(1)], input: value });
    };
    mustAscend(['frequencies'], value.frequencies);
    mustAscend(
      ['voltages', 'frequency'],
      value.voltages.map(({ frequency }) => frequency),
    );
    mustAscend(
      ['idleStates', 'after'],
      value.idleStates.map(({ after }) => after),
    );
    if (value.idleStates.length > 0 && value.idleStates[0]!.after !== 0) {
      const message = 'later than 0ns, expected the first idle state to begin at once';
      issues.push({ code: 'custom', message, path: ['idleStates', 0, 'after'], input: value });
    }
  })
  .transform((file): ServerModel => {
    const { frequencies, voltages, idleStates, domains, transitionLatency, cores, ...power } = file;
    const range = { minKhz: frequencies[0]!, maxKhz: frequencies.at(-1)!, stepsKhz: frequencies };
    return {
      machine: uniformMachine(cores, range, domains),
      power: {
        ...power,
        coreCount: cores,
        voltages: voltages.map(({ frequency, volts }) => ({ frequencyKhz: frequency, volts })),
      },
      idleStates: idleStates.map(({ name, after, wake, watts: w }) => ({
        name,
        afterNs: after,
        wakeNs: wake,
        watts: w,
      })),
      transitionLatencyNs: transitionLatency,
    };
  });
