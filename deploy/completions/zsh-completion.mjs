import { commandPaths, completes, TOP_OPTIONS } from './command-paths.mjs';

/**
 * A completion function for zsh, to lie as `_tailgov` in a directory of $fpath.
 *
 * @param {import('../command-tree.mjs').CommandTree[]} commands
 * @returns {string}
 */
export function zshCompletion(commands) {
  const top = { path: 'tailgov', options: TOP_OPTIONS, commands };
  const functions = [...commandPaths(commands), top].map((entry) =>
    entry.commands.length > 0 ? groupFunction(entry) : leafFunction(entry),
  );
  return `#compdef tailgov
# zsh completion for tailgov, made from its commands
${functions.join('')}
_tailgov "$@"
`;
}

function groupFunction({ path, options, commands }) {
  return `
${functionName(path)}() {
  local state
  local -a commands=(
${commands.map(({ name, description }) => `    ${quote(`${name}:${description}`)}`).join('\n')}
  )
  _arguments -C ${[...options.map(optionSpecification), "'1: :->command'", "'*:: :->rest'"].join(' \\\n    ')}
  case $state in
    command) _describe -t commands command commands ;;
    rest)
      case $words[1] in
${commands.map(({ name }) => `        ${name}) ${functionName(`${path} ${name}`)} ;;`).join('\n')}
      esac ;;
  esac
}
`;
}

function leafFunction({ path, options, arguments: positional }) {
  const specifications = [
    ...options.map(optionSpecification),
    ...positional.map((argument) => {
      const repeated = argument.variadic ? '*' : '';
      return quote(
        `${repeated}:${escape(argument.description)}:${action({ value: argument.name, choices: argument.choices })}`,
      );
    }),
  ];
  return `
${functionName(path)}() {
  _arguments ${specifications.join(' \\\n    ')}
}
`;
}

function optionSpecification(option) {
  const value = option.value === null ? '' : `:${escape(option.value)}:${action(option)}`;
  const body = quote(`[${escape(option.description)}]${value}`);
  if (option.names.length === 1) return `${quote(option.names[0])}${body}`;
  return `${quote(`(${option.names.join(' ')})`)}{${option.names.join(',')}}${body}`;
}

function action(option) {
  const { kind, words } = completes(option);
  if (kind === 'words') return `(${words.map(escape).join(' ')})`;
  return kind === 'files' ? '_files' : kind === 'directories' ? '_files -/' : ' ';
}

const functionName = (path) => `_${path.replaceAll(/[ -]/g, '_')}`;
/** Brackets end an option's description, a colon ends each part. */
const escape = (words) => words.replaceAll(/[\\[\]:]/g, '\\$&');
const quote = (words) => `'${words.replaceAll("'", "'\\''")}'`;
