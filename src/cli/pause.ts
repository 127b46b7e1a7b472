import { Command } from 'commander';
import { controlClient } from '../telemetry/control-client.ts';
import { durationOption } from './duration-option.ts';
import { controlSocketIn, runtimeOption } from './runtime-directory.ts';

export function pauseCommand(): Command {
  return new Command('pause')
    .description('full speed at once, for every service, until `tailgov resume`; measuring goes on')
    .addOption(runtimeOption())
    .option('--for <time>', 'govern again by itself after this long', durationOption('--for', 1))
    .addHelpText('after', '\nExample:\n  tailgov pause --for 10min')
    .action(async (options: { runtime: string; for?: number }) => {
      const { pauseEnds } = await controlClient(controlSocketIn(options.runtime)).pause(options.for);
      const until = pauseEnds === null ? '`tailgov resume`' : `${pauseEnds}, or \`tailgov resume\``;
      process.stdout.write(`paused: every governed CPU is at full speed until ${until}\n`);
    });
}

export function resumeCommand(): Command {
  return new Command('resume')
    .description('govern again after `tailgov pause`')
    .addOption(runtimeOption())
    .addHelpText('after', '\nExample:\n  tailgov resume')
    .action(async (options: { runtime: string }) => {
      await controlClient(controlSocketIn(options.runtime)).resume();
      process.stdout.write('governing again\n');
    });
}
