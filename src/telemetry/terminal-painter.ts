import { cutToWidth } from './terminal-text.ts';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_TO_END_OF_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const up = (lines: number) => (lines > 0 ? `\u001b[${lines}A` : '');

/** What is drawn on: a tty.WriteStream. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  write(text: string): boolean;
}

/** Draws a block of lines again and again in the same place of a terminal; what was above stays. */
export class TerminalPainter {
  readonly #stream: Terminal;
  #drawnLines = 0;
  #open = false;

  constructor(stream: Terminal) {
    this.#stream = stream;
  }

  /** Lines that are too long or too many for the terminal are cut. */
  paint(lines: readonly string[]): void {
    const columns = this.#stream.columns || 80;
    // The cursor rests below the block: a block as high as the terminal would scroll.
    const shown = lines.slice(0, Math.max(1, (this.#stream.rows || 24) - 1));
    const text = shown.map((line) => `${cutToWidth(line, columns)}${CLEAR_TO_END_OF_LINE}\n`).join('');
    this.#stream.write(`${this.#open ? '' : HIDE_CURSOR}\r${up(this.#drawnLines)}${text}${CLEAR_BELOW}`);
    this.#drawnLines = shown.length;
    this.#open = true;
  }

  /** Leaves the block where it is; the next one is drawn below it. */
  close(): void {
    if (this.#open) this.#stream.write(SHOW_CURSOR);
    this.#drawnLines = 0;
    this.#open = false;
  }
}
