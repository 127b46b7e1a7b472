/** What both shells are told. */

/** Of `tailgov` itself. */
export const TOP_OPTIONS = [
  { names: ['-V', '--version'], description: 'show the version', value: null, choices: [] },
  { names: ['-h', '--help'], description: 'show help', value: null, choices: [] },
];

/**
 * Every command and subcommand, `tailgov policy check` after `tailgov policy`.
 *
 * @param {import('../command-tree.mjs').CommandTree[]} commands
 */
export function commandPaths(commands, parent = 'tailgov') {
  return commands.flatMap((command) => {
    const path = `${parent} ${command.name}`;
    return [{ ...command, path }, ...commandPaths(command.commands, path)];
  });
}

/**
 * What may stand for a value: one of some words, a file, a directory, or something that nobody can guess.
 *
 * @param {{ value: string | null, choices: readonly string[] }} option
 * @returns {{ kind: 'words' | 'files' | 'directories' | 'unknown', words: readonly string[] }}
 */
export function completes({ value, choices }) {
  if (choices.length > 0) return { kind: 'words', words: choices };
  if (/^dir(ectory)?$/.test(value ?? '')) return { kind: 'directories', words: [] };
  return { kind: /^(file|.*-file)$/.test(value ?? '') ? 'files' : 'unknown', words: [] };
}
