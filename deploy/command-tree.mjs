/** The commands as data, from what commander knows of them: manual page and completions are made from it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tsImport } from 'tsx/esm/api';

/**
 * @typedef {{
 *   name: string, description: string, help: string, arguments: Argument[], options: Option[], commands: CommandTree[]
 * }} CommandTree `help`: what the command says after its options, such as an example
 * @typedef {{ name: string, description: string, required: boolean, variadic: boolean, choices: string[] }} Argument
 * @typedef {{
 *   flags: string, names: string[], description: string, value: string | null, choices: string[],
 *   default: string | null, variable: string | null
 * }} Option `value`: what it takes, such as `dir`; `variable`: of the environment, which it takes otherwise
 */

/** How src/cli/main.ts loads a command: `run: async () => (await import('./run.ts')).runCommand(),` */
const LOADED = /^\s*(\w+): async \(\) =>\s*\(await import\('\.\/([\w-]+\.ts)'\)\)\.(\w+)\(\),$/gm;

/**
 * @param {string} root of the checkout
 * @returns {Promise<CommandTree[]>} in the order in which the program lists them
 */
export async function commandTrees(root) {
  const directory = join(root, 'src', 'cli');
  const loaded = [...readFileSync(join(directory, 'main.ts'), 'utf8').matchAll(LOADED)];
  if (loaded.length === 0) throw new Error(`${directory}/main.ts loads no command in the way that is expected here`);
  const trees = [];
  for (const [, , file, make] of loaded) {
    const module = await tsImport(pathToFileURL(join(directory, file)).href, import.meta.url);
    trees.push(treeOf(module[make]()));
  }
  return trees;
}

function treeOf(command) {
  const visible = command.createHelp();
  return {
    name: command.name(),
    description: command.description(),
    help: helpAfter(command),
    arguments: command.registeredArguments.map((argument) => ({
      name: argument.name(),
      description: argument.description,
      required: argument.required,
      variadic: argument.variadic,
      choices: argument.argChoices ?? [],
    })),
    options: visible.visibleOptions(command).map(optionOf),
    commands: visible
      .visibleCommands(command)
      .filter((child) => child.name() !== 'help')
      .map(treeOf),
  };
}

function optionOf(option) {
  return {
    flags: option.flags,
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: option.description,
    value: /[<[]([^\]>]+)[\]>]/.exec(option.flags)?.[1].replace(/\.\.\.$/, '') ?? null,
    choices: option.argChoices ?? [],
    default: defaultOf(option),
    variable: option.envVar ?? null,
  };
}

function defaultOf({ defaultValue, defaultValueDescription }) {
  if (defaultValue === undefined || defaultValue === false) return null;
  if (Array.isArray(defaultValue) && defaultValue.length === 0) return null;
  return defaultValueDescription ?? String(defaultValue);
}

/** What addHelpText() has added. */
function helpAfter(command) {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text.slice(command.helpInformation().length).trim();
}
