import { expect, test } from 'vitest';
import { TerminalPainter } from '../../src/telemetry/terminal-painter.ts';
import {
  colored,
  cutToWidth,
  progressBar,
  sparkline,
  textTable,
  uncolored,
  wantsColor,
} from '../../src/telemetry/terminal-text.ts';

test('sparkline() spans from 0 to its top, with blanks for what is missing', () => {
  expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7, 8])).toBe('▁▂▃▄▅▆▇██');
  expect(sparkline([null, 50, 200, -1], 100)).toBe(' ▅█▁');
  expect(sparkline([0, 0])).toBe('▁▁');
  expect(sparkline([])).toBe('');
});

test('progressBar() is always as wide as asked', () => {
  expect([-1, 0, 0.5, 1, 2].map((share) => progressBar(share, 4))).toEqual(['░░░░', '░░░░', '██░░', '████', '████']);
});

test('cutToWidth() counts what is seen and ends colours', () => {
  expect(cutToWidth('abcdef', 3)).toBe('abc');
  expect(cutToWidth('abc', 3)).toBe('abc');
  expect(cutToWidth(colored('red', 'abcdef'), 3)).toBe('\u001b[31mabc\u001b[0m');
  expect(cutToWidth(colored('red', 'abc'), 3)).toBe(colored('red', 'abc'));
});

test('wantsColor() obeys NO_COLOR, dumb terminals and pipes', () => {
  expect(wantsColor(true, {})).toBe(true);
  expect(wantsColor(true, { NO_COLOR: '' })).toBe(true);
  expect(wantsColor(true, { NO_COLOR: '1' })).toBe(false);
  expect(wantsColor(true, { TERM: 'dumb' })).toBe(false);
  expect(wantsColor(false, {})).toBe(false);
  expect(uncolored('red', 'text')).toBe('text');
});

test('textTable() aligns the first column to the left and the others to the right', () => {
  expect(textTable([['', 'one'], ['long', '2'], ['x']])).toEqual(['      one', 'long    2', 'x']);
});

test('TerminalPainter draws over what it drew, cuts to the terminal and shows the cursor again', () => {
  let written = '';
  const stream = { columns: 5, rows: 3, write: (text: string) => ((written += text), true) };
  const painter = new TerminalPainter(stream);
  painter.paint(['1234567', 'b', 'c']);
  expect(written).toBe('\u001b[?25l\r12345\u001b[K\nb\u001b[K\n\u001b[J');
  written = '';
  painter.paint(['x']);
  expect(written).toBe('\r\u001b[2Ax\u001b[K\n\u001b[J');
  written = '';
  painter.close();
  painter.close();
  expect(written).toBe('\u001b[?25h');
});
