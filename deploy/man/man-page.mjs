/** tailgov(1) in the macros of man(7). */

/**
 * @param {import('../command-tree.mjs').CommandTree[]} commands
 * @param {{ version: string, description: string, date: string }} package_ date: YYYY-MM-DD
 * @returns {string}
 */
export function manPage(commands, { version, description, date }) {
  return [
    `.TH TAILGOV 1 "${date}" "tailgov ${version}" "User Commands"`,
    '.SH NAME',
    'tailgov \\- tail-latency governor',
    '.SH SYNOPSIS',
    '.B tailgov\n.I command\n.RI [ option ...]',
    '.SH DESCRIPTION',
    `${text(description)}.`,
    '.PP',
    `Every command shows by ${text('--help')} how it is used.`,
    '.SH COMMANDS',
    ...commands.flatMap((command) => commandSection(command, 'tailgov')),
    ...SECTIONS.flatMap(([title, body]) => [`.SH ${title}`, body]),
    '',
  ].join('\n');
}

function commandSection(command, parent) {
  const path = `${parent} ${command.name}`;
  const options = command.options.filter(({ names }) => !names.includes('--help'));
  const synopsis = [path, ...(options.length > 0 ? ['[option ...]'] : []), ...command.arguments.map(placeholder)];
  return [
    `.SS ${text(synopsis.join(' '))}`,
    text(sentence(command.description)),
    ...command.arguments.flatMap(({ name, description, choices }) => [
      '.TP',
      `.I ${text(name)}`,
      text(sentence(`${description}${choices.length > 0 ? ` (${choices.join(', ')})` : ''}`)),
    ]),
    ...options.flatMap((option) => ['.TP', `.B ${text(option.flags)}`, text(sentence(optionText(option)))]),
    ...(command.help === '' ? [] : ['.PP', '.nf', text(command.help), '.fi']),
    ...command.commands.flatMap((child) => commandSection(child, path)),
  ];
}

function optionText({ description, choices, default: value, variable }) {
  const notes = [
    choices.length > 0 ? `one of ${choices.join(', ')}` : '',
    value === null ? '' : `default ${value}`,
    variable === null ? '' : `or $${variable}`,
  ].filter((note) => note !== '');
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`;
}

function placeholder({ name, required, variadic }) {
  const shown = variadic ? `${name} ...` : name;
  return required ? shown : `[${shown}]`;
}

const sentence = (words) => `${words.slice(0, 1).toUpperCase()}${words.slice(1)}${/[.?!]$/.test(words) ? '' : '.'}`;

/** A backslash, a dash and a dot at the start of a line mean something to roff. */
const text = (words) =>
  words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');

const SECTIONS = [
  [
    'FILES',
    `.TP
.I /etc/tailgov/tailgov.yaml
The config: what is governed on this machine.
.B tailgov policy check
tells what is wrong with one.
.TP
.I /etc/default/tailgov
TAILGOV_OPTIONS for
.BR tailgov.service .
.TP
.I /run/tailgov/journal
The original value of every control that was taken, while a daemon governs.
.TP
.I /run/tailgov/control.sock
The control socket of the daemon.
.TP
.I /usr/share/tailgov/policies
Ready policies, where tailgov was installed as a Debian package.`,
  ],
  [
    'ENVIRONMENT',
    `.TP
.B RUNTIME_DIRECTORY
Where journal and control socket lie, instead of
.IR /run/tailgov .
.TP
.BR NOTIFY_SOCKET ", " WATCHDOG_USEC
Of
.BR sd_notify (3):
the daemon says when it is ready, how it is, and that its loop moves.
.TP
.B TAILGOV_DEBUG
Where set, unexpected errors are printed with their stack.`,
  ],
  [
    'EXIT STATUS',
    `.TP
0
Success.
.TP
1
A failure at run time.
.TP
2
Bad usage, or a bad config or policy file.`,
  ],
  [
    'SIGNALS',
    `.TP
.BR SIGTERM ", " SIGINT
The daemon puts every control back and ends. A second one restores at once, without waiting for the loop.
.TP
.B SIGKILL
Cannot be handled; a guardian process, and systemd where it runs the daemon, put every control back.`,
  ],
  ['SEE ALSO', '.BR systemctl (1),\n.BR cpupower (1),\n.BR bpf (2)'],
];
