import { Command } from 'commander';
import { stringify } from 'yaml';
import { PolicyError } from '../core/errors.ts';
import { fitPower, parsePowerSamples } from '../plant/power-fit.ts';
import { readText, readYamlFile } from '../policy/yaml-file.ts';
import { serverFrom } from '../study/scenario.ts';

const EXAMPLE = `
Samples are lines of JSON, one a second or so, while the machine is busy in different degrees at different frequencies:
  {"atNs":1000000000,"joules":5321.25,"cores":[[2400000,0.83],[1200000,0.02]]}
atNs is CLOCK_MONOTONIC, joules the package counter of RAPL, cores the mean kHz and the busy share of every physical core.

Example: a power file of this machine, for tailgov simulate --power
  tailgov power fit samples.jsonl --server guess.yaml > server.yaml`;

export function powerCommand(): Command {
  const command = new Command('power').description('power models for the simulator');
  command.addCommand(
    new Command('fit')
      .description('find static power, leakage and capacitance of a server in samples of its power')
      .argument('<samples>', 'a file of lines of JSON')
      .requiredOption(
        '--server <file>',
        'a power file: what is found replaces its own figures, the rest is taken as given',
      )
      .addHelpText('after', EXAMPLE)
      .action(fit),
  );
  return command;
}

/** The fitted power file goes to stdout, how good the fit is to stderr. @throws PolicyError for what is wrong in a file */
function fit(samplesFile: string, { server }: { readonly server: string }): void {
  const known = serverFrom(server);
  const samples = parsePowerSamples(samplesFile, readText(samplesFile));
  let found;
  try {
    found = fitPower(known.power, samples);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const problem = { file: samplesFile, line: 1, column: 1, message: error.message };
    throw new PolicyError('bad-file', [problem], { cause: error });
  }
  const { model, intervals, skipped, rmsWatts, largestWatts, explainedRatio } = found;
  const rounded = (value: number) => Number(value.toPrecision(6));
  process.stdout.write(
    stringify({
      ...(readYamlFile(server).data as Readonly<Record<string, unknown>>),
      source: `fitted to ${intervals} intervals of ${samplesFile}; the rest as ${server} has it: ${known.power.source}`,
      staticWatts: rounded(model.staticWatts),
      awakeWattsPerVolt: rounded(model.awakeWattsPerVolt),
      capacitanceNf: rounded(model.capacitanceNf),
    }),
  );
  process.stderr.write(
    `${intervals} intervals, ${skipped} left out; off by ${rmsWatts.toFixed(2)} W (rms), ${largestWatts.toFixed(2)} W at most; ` +
      `${(explainedRatio * 100).toFixed(1)} % of the variance explained\n`,
  );
}
