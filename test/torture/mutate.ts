/** What breaks parsers: brackets, quotes, signs of YAML and JSON, numbers at edges, names that every object has. */
const TOKENS = [
  ...'{}[]()"\'\\,:;-#&*!|>%@`~?=\t\n\r\0',
  ...[
    '\ufeff',
    '\u2028',
    '\ud800',
    '\u202e',
    'é',
    '🙂',
    '- ',
    '? ',
    ': ',
    '<<: *a',
    '&a ',
    '*a',
    '!!js/function ',
    '%TAG',
    '---\n',
    '...\n',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'null',
    'true',
    '.nan',
    '.inf',
    '-.inf',
    'NaN',
    'Infinity',
  ],
  ...[
    '0',
    '-0',
    '-1',
    '1e999',
    '1e-999',
    '9007199254740993',
    '18446744073709551616',
    '0x7fffffff',
    '0o17',
    '1_000',
    '1ms',
    '1e9GHz',
  ],
  ...[
    '{0-4095}',
    '{n}',
    '{0-1}{0-1}',
    '../',
    '/',
    'p99.9999999',
    '* * * * *',
    '*/0 * * * *',
    '61 25 32 13 8',
    'Europe/Nowhere',
  ],
] as const;

/** Another text, some steps away from `seed`. @param other a text to take a piece of */
export function mutate(seed: string, other: string, random: () => number): string {
  const upTo = (limit: number) => Math.floor(random() * limit);
  let text = seed;
  for (let step = 1 + upTo(6); step > 0; step--) {
    const at = upTo(text.length + 1);
    const length = 1 + upTo(random() < 0.8 ? 8 : 400);
    const token = TOKENS[upTo(TOKENS.length)]!;
    const pieces = [text.slice(0, at), text.slice(at + length), text.slice(at)] as const;
    switch (upTo(7)) {
      case 0:
        text = pieces[0] + pieces[1];
        break;
      case 1:
        text = pieces[0] + token + pieces[2];
        break;
      case 2:
        text = pieces[0] + token + pieces[1];
        break;
      case 3:
        text = pieces[0] + text.slice(at, at + length) + pieces[2];
        break;
      case 4:
        text = pieces[0] + other.slice(upTo(other.length), upTo(other.length + 1)) + pieces[2];
        break;
      case 5:
        text = pieces[0] + token.repeat(1 + upTo(random() < 0.9 ? 20 : 5_000)) + pieces[2];
        break;
      default:
        text = pieces[0] + String.fromCharCode(upTo(random() < 0.9 ? 128 : 0xffff)) + pieces[1];
    }
  }
  return text;
}
