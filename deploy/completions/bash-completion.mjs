import { commandPaths, completes, TOP_OPTIONS } from './command-paths.mjs';

/**
 * A completion script for bash that needs nothing but bash.
 *
 * @param {import('../command-tree.mjs').CommandTree[]} commands
 * @returns {string}
 */
export function bashCompletion(commands) {
  const paths = commandPaths(commands);
  return `# bash completion for tailgov, made from its commands
_tailgov() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} path=tailgov index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$path \${COMP_WORDS[index]}" in
      ${alternatives(paths.map(({ path }) => path))}) path="$path \${COMP_WORDS[index]}" ;;
    esac
  done
  COMPREPLY=()
  case "$path $previous" in
${optionValues(paths)}
  esac
  case "$path" in
    tailgov) ${offer([...commands.map(({ name }) => name), 'help', ...TOP_OPTIONS.flatMap(({ names }) => names)])} ;;
${paths.map((entry) => `    ${quote(entry.path)}) ${wordsOf(entry)} ;;`).join('\n')}
  esac
}
complete -F _tailgov tailgov
`;
}

/** A branch for each answer, with all the options that it is the answer to. */
function optionValues(paths) {
  const asking = new Map();
  for (const { path, options } of paths) {
    for (const option of options.filter(({ value }) => value !== null)) {
      const answer = answerTo(completes(option));
      asking.set(answer, [...(asking.get(answer) ?? []), ...option.names.map((name) => `${path} ${name}`)]);
    }
  }
  return [...asking].map(([answer, words]) => `    ${alternatives(words)}) ${answer} ;;`).join('\n');
}

function answerTo({ kind, words }) {
  if (kind === 'words') return `${offer(words)}; return`;
  return kind === 'files'
    ? 'compopt -o default; return'
    : kind === 'directories'
      ? 'compopt -o dirnames; return'
      : 'return';
}

function wordsOf({ commands, options, arguments: positional }) {
  const names = options.flatMap((option) => option.names);
  const words = [...commands.map(({ name }) => name), ...positional.flatMap(({ choices }) => choices), ...names];
  const takesFiles = positional.some(({ name, choices }) => completes({ value: name, choices }).kind === 'files');
  return takesFiles ? `if [[ $current == -* ]]; then ${offer(words)}; else compopt -o default; fi` : offer(words);
}

const alternatives = (words) => words.map(quote).join(' | ');
const offer = (words) => `COMPREPLY=($(compgen -W ${quote(words.join(' '))} -- "$current"))`;
const quote = (words) => `'${words.replaceAll("'", "'\\''")}'`;
