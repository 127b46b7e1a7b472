import { CST, Lexer } from 'yaml';

/** Nothing that we read nests deeper than five levels. */
const DEEPEST_FLOW = 64;
/** Block collections nest by indentation, so the column of their indicators bounds their depth. */
const WIDEST_COLUMN = 200;

const OPENING = new Set(['flow-seq-start', 'flow-map-start']);
const CLOSING = new Set(['flow-seq-end', 'flow-map-end']);
const INDICATOR = new Set(['seq-item-ind', 'map-value-ind', 'explicit-key-ind']);
/** Between commas a sound flow collection has one indicator; of several the parser takes each for a block within the last. */
const MOST_INDICATORS = DEEPEST_FLOW;
/** Marks of the lexer's own, which stand for nothing in the text. */
const MARKS = new Set(['doc-mode', 'flow-error-end', 'scalar']);

/**
 * Is the text nested so deeply that the parser, which recurses, would run out of stack? V8 may then abort the whole process
 * instead of throwing. The lexer does not recurse.
 *
 * @returns the offset of the token that goes too deep, or null
 */
export function tooDeepAt(text: string): number | null {
  let flowDepth = 0;
  let indicators = 0;
  let offset = 0;
  let lineStart = 0;
  for (const token of new Lexer().lex(text)) {
    const type = CST.tokenType(token) ?? 'text';
    if (MARKS.has(type)) continue;
    if (OPENING.has(type)) flowDepth++;
    if (CLOSING.has(type)) flowDepth = Math.max(0, flowDepth - 1);
    if (INDICATOR.has(type)) indicators += flowDepth > 0 ? 1 : 0;
    else if (type === 'comma' || OPENING.has(type) || CLOSING.has(type)) indicators = 0;
    const tooWide = INDICATOR.has(type) && flowDepth === 0 && offset - lineStart > WIDEST_COLUMN;
    if (flowDepth > DEEPEST_FLOW || indicators > MOST_INDICATORS || tooWide) return offset;
    offset += token.length;
    const newline = token.lastIndexOf('\n');
    if (newline >= 0) lineStart = offset - (token.length - newline - 1);
  }
  return null;
}
