import { Command, CommanderError } from 'commander';
import { codeOf, messageOf, PolicyError, TailgovError, UsageError } from '../core/errors.ts';
import { packageVersion } from './package-root.ts';

/** Each command is loaded when it is needed: `status` need not read the demo's code. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  init: async () => (await import('./init.ts')).initCommand(),
  run: async () => (await import('./run.ts')).runCommand(),
  observe: async () => (await import('./observe.ts')).observeCommand(),
  demo: async () => (await import('./demo.ts')).demoCommand(),
  simulate: async () => (await import('./simulate.ts')).simulateCommand(),
  power: async () => (await import('./power.ts')).powerCommand(),
  policy: async () => (await import('./policy.ts')).policyCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  top: async () => (await import('./top.ts')).topCommand(),
  pause: async () => (await import('./pause.ts')).pauseCommand(),
  resume: async () => (await import('./pause.ts')).resumeCommand(),
  measure: async () => (await import('./measure.ts')).measureCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  restore: async () => (await import('./restore.ts')).restoreCommand(),
  mock: async () => (await import('./mock.ts')).mockCommand(),
};

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

async function runCli(argv: readonly string[]): Promise<number> {
  const program = new Command('tailgov')
    .description('A tail-latency governor: the least power at which a service still meets its latency objective.')
    .version(packageVersion())
    .exitOverride()
    .showHelpAfterError('(--help shows how it is used)');
  const named = COMMANDS[argv[2] ?? ''];
  const loaders = named === undefined ? Object.values(COMMANDS) : [named];
  for (const load of loaders) program.addCommand(prepare(await load()));
  try {
    await program.parseAsync(argv);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(error);
  }
}

/** Errors of commander come to us, from subcommands too, so that every bad usage ends with the same exit code. */
function prepare(command: Command): Command {
  command.exitOverride();
  for (const child of command.commands) prepare(child);
  return command;
}

function report(error: unknown): number {
  // Commander has already written its message; asking for help is no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof PolicyError || error instanceof UsageError) {
    process.stderr.write(`${error instanceof PolicyError ? '' : 'tailgov: '}${error.message}\n`);
    return EXIT_USAGE;
  }
  // The code is what docs/troubleshoot.md goes by.
  process.stderr.write(`tailgov: ${messageOf(error)} [${codeOf(error)}]\n`);
  if (!(error instanceof TailgovError) && error instanceof Error && process.env['TAILGOV_DEBUG'] !== undefined) {
    process.stderr.write(`${error.stack}\n`);
  }
  return EXIT_FAILURE;
}

// Whoever reads our output may stop early, as `head` does: then there is nobody left to tell. A command that listens, too, has
// something to put away, and ends by itself.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  if (process.stdout.listenerCount('error') === 1) process.exit(0);
});

process.exitCode = await runCli(process.argv);
