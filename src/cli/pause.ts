import { Command } from 'commander';
import { controlClient, type ControlClient } from '../telemetry/control-client.ts';
import { controlSocketIn, runtimeOption } from './runtime-directory.ts';

export function pauseCommand(): Command {
  return remote(
    'pause',
    'full speed at once, for every service, until `tailgov resume`; measuring goes on',
    (client) => client.pause(),
    'paused: every governed CPU is at full speed until `tailgov resume`',
  );
}

export function resumeCommand(): Command {
  return remote('resume', 'govern again after `tailgov pause`', (client) => client.resume(), 'governing again');
}

function remote(
  name: string,
  description: string,
  ask: (client: ControlClient) => Promise<unknown>,
  done: string,
): Command {
  return new Command(name)
    .description(description)
    .addOption(runtimeOption())
    .addHelpText('after', `\nExample:\n  tailgov ${name}`)
    .action(async (options: { runtime: string }) => {
      await ask(controlClient(controlSocketIn(options.runtime)));
      process.stdout.write(`${done}\n`);
    });
}
