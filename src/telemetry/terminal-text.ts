/** Text for terminals: pure functions from values to strings. Every character used here is one column wide. */

export type Color = 'red' | 'green' | 'yellow' | 'cyan' | 'bold' | 'dim';

const SGR: Readonly<Record<Color, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };

/** Puts text in a colour, or leaves it where colours are off. */
export type Painter = (color: Color, text: string) => string;

export const colored: Painter = (color, text) => (text === '' ? '' : `\u001b[${SGR[color]}m${text}\u001b[0m`);
export const uncolored: Painter = (_color, text) => text;

/** Colours on a terminal, unless NO_COLOR (https://no-color.org) is set to something or the terminal is dumb. */
export function wantsColor(isTty: boolean, environment: Readonly<Record<string, string | undefined>>): boolean {
  return isTty && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
}

const STEPS = '▁▂▃▄▅▆▇█';

/**
 * One character a value, lowest step for 0, highest for `max` and more; a blank for null.
 *
 * @param max the value of a full column; by default the largest of the values
 */
export function sparkline(values: readonly (number | null)[], max?: number): string {
  const top = max ?? Math.max(0, ...values.filter((value) => value !== null));
  return values
    .map((value) => {
      if (value === null) return ' ';
      const share = top > 0 ? Math.min(1, Math.max(0, value / top)) : 0;
      return STEPS[Math.min(STEPS.length - 1, Math.floor(share * STEPS.length))]!;
    })
    .join('');
}

/** `████░░░░` for a share of 0..1, `width` columns wide. */
export function progressBar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}

const CODE_OR_CHARACTER = new RegExp(`${'\u001b'}\\[[0-9;]*m|.`, 'gsu');

/** Cuts to `columns` visible characters; colour codes count nothing, and colours are switched off at a cut. */
export function cutToWidth(line: string, columns: number): string {
  let visible = 0;
  let kept = '';
  for (const [part] of line.matchAll(CODE_OR_CHARACTER)) {
    const isCode = part.startsWith('\u001b[');
    if (!isCode && visible === columns) return line.includes('\u001b[') ? `${kept}\u001b[0m` : kept;
    kept += part;
    if (!isCode) visible++;
  }
  return kept;
}

/** Rows of cells as aligned columns; the first column to the left, the others to the right. */
export function textTable(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}
