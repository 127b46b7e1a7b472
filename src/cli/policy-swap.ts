import { resolve } from 'node:path';
import { Command } from 'commander';
import { controllers } from '../compose/controllers.ts';
import { loadPolicy } from '../policy/load-policy.ts';
import { controlClient } from '../telemetry/control-client.ts';
import { controlSocketIn, runtimeOption } from './runtime-directory.ts';

export function policySwapCommand(): Command {
  return new Command('swap')
    .description('Put another policy in a service’s place while the daemon runs, without a bump')
    .argument('<service>', 'as the config names it')
    .argument('<file>', 'the policy; its changes are followed from then on')
    .option('--persist', 'write the file’s name into the config, so that it lasts past a restart')
    .addOption(runtimeOption())
    .addHelpText('after', '\nExample:\n  tailgov policy swap cache policies/threshold.yaml --persist')
    .action(async (service: string, file: string, options: { persist?: true; runtime: string }) => {
      const path = resolve(file);
      // A bad file is told here, with its place, before the daemon hears of it.
      loadPolicy(path, controllers);
      const client = controlClient(controlSocketIn(options.runtime));
      const swap = await client.swapPolicy(service, path, options.persist === true);
      const lasts = swap.lasts
        ? 'the config names it, so it lasts past a restart'
        : 'until a restart, or until the config names another; --persist makes it last';
      process.stdout.write(`${swap.service} is governed by ${swap.file}: ${lasts}\n`);
    });
}
