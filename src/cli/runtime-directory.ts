import { join } from 'node:path';
import { Option } from 'commander';

/** Where the daemon keeps its journal and its control socket: systemd's choice, or the usual place. */
export const runtimeOption = () =>
  new Option('--runtime <dir>', 'where the daemon keeps its journal and control socket')
    .env('RUNTIME_DIRECTORY')
    .default('/run/tailgov');

export const controlSocketIn = (runtimeDirectory: string) => join(runtimeDirectory, 'control.sock');
export const journalIn = (runtimeDirectory: string) => join(runtimeDirectory, 'journal');
