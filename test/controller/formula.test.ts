import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileFormula, FORMULA_FUNCTIONS, FormulaError, LONGEST_FORMULA } from '../../src/controller/formula.ts';

const SYMBOLS = ['a', 'b', 'quantile', 'level'];
const valueOf = (text: string, values: Record<string, number> = {}) =>
  compileFormula(text, SYMBOLS).evaluate({ a: 3, b: 4, quantile: NaN, level: 0.5, ...values });
const refusal = (text: string) => {
  try {
    compileFormula(text, SYMBOLS);
  } catch (error) {
    if (error instanceof FormulaError) return `${error.offset}: ${error.message}`;
    throw error;
  }
  throw new Error(`${text} was accepted`);
};

describe('compileFormula()', () => {
  it.each([
    ['a + b * 2', 11],
    ['-a^2', -9],
    ['2^3^2', 512],
    ['(a + b) / 2', 3.5],
    ['-7 % 3', 2],
    ['2a', 6],
    ['50%', 0.5],
    ['a < b', 1],
    ['a >= b or not (a == 3)', 0],
    ['a != b and a <= 3', 1],
    ['a > b ? 1 : a == 3 ? 2 : 3', 2],
    ['clamp(a, 0, 1) + min(a, b, 1) + max(1, 2)', 4],
    ['round(log(exp(1)) + log10(100) + log2(8) + sqrt(b) + abs(-a))', 11],
    ['floor(pi) + ceil(e) + sign(-2) + tanh(0) + pow(2, 3)', 13],
    ['true + false', 1],
    ['quantile ?? 7', 7],
    ['a ?? 7', 3],
  ])('computes %s', (text, expected) => {
    expect(valueOf(text)).toBeCloseTo(expected, 12);
  });

  it('does not know the outcome of a comparison with what is not known', () => {
    for (const text of [
      'quantile > 1',
      'not quantile',
      'quantile and a',
      'quantile > 1 ? 1 : 2',
      'quantile == quantile',
    ]) {
      expect(valueOf(text), text).toBeNaN();
    }
  });

  it('says which symbols are read', () => {
    expect(compileFormula('a + quantile * a', SYMBOLS).symbols).toEqual(['a', 'quantile']);
  });

  it('says what is wrong and where', () => {
    expect(refusal('a + levl')).toBe('4: unknown name "levl", expected one of a, b, quantile, level');
    expect(refusal('1 + log')).toMatch(/^4: unknown name "log", log is a function: log\(\.\.\.\)/);
    expect(refusal('a + sin(b)')).toMatch(/^4: unknown function "sin", expected one of abs, ceil, clamp/);
    expect(refusal('clamp(a, 1)')).toBe('0: clamp has 2 arguments, expected 3');
    expect(refusal('a + ')).toBe('4: cannot be parsed: unexpected end of expression');
    expect(refusal('')).toBe('0: nothing found, expected an expression');
    expect(refusal('a\nb')).toMatch(/^1: a line break or the character/);
    expect(refusal('a!')).toBe('1: unknown operator !');
    expect(refusal('null')).toMatch(/^0: null found/);
    expect(refusal('1e400')).toMatch(/^0: a number too large to compute with found/);
  });

  // What has been published against the parser's own evaluation, and what else its language offers.
  it.each([
    'cos.constructor("return process")()',
    'a.constructor',
    'a["constructor"]',
    '[].map.constructor("return 1")()',
    '["//","a"]._data.map(cos.constructor)',
    'import({matrix: cos.constructor}, {override: 1})',
    'createUnit("x", {definition: "1"})',
    'evaluate("1")',
    'parse("1").constructor',
    'parser().evaluate("1")',
    'simplify("1")',
    'derivative("x", "x")',
    'chain(3).done()',
    'reviver("", {mathjs: "Chain"})',
    'typed("f", {any: a})',
    'config({})',
    'help(a)',
    'resolve("a")',
    'compile("1")',
    'map([1], f(x) = x)',
    'f(x) = x',
    'f(x) = f(x); f(1)',
    'x = 1',
    'a = 1',
    'a.b = 1',
    'a[1]',
    '{a: 1}',
    '{"__proto__": 1}',
    '[1, 2; 3, 4]',
    '1:100000000',
    'zeros(10000, 10000)',
    'ones(1e9)',
    'range(1, 1e9)',
    'a; b',
    '"text"',
    "'text'",
    '2 cm to inch',
    '5 km',
    '1 < a < 3',
    'a?.b',
    '(a)(b).c',
    '(min)(1, 2).x',
    '__proto__',
    'constructor',
    'toString()',
    'hasOwnProperty(a)',
    'process',
    'globalThis',
    'this',
    'end',
    'null',
    'undefined',
    'i',
    'a | b',
    '~a',
    'a << 2',
    "a'",
    '170!',
    'random()',
    'now()',
  ])('refuses %s', (text) => {
    expect(() => compileFormula(text, SYMBOLS)).toThrow(FormulaError);
  });

  it('bounds length, depth and terms', () => {
    expect(refusal('a'.repeat(LONGEST_FORMULA + 1))).toContain('expected at most 500');
    expect(refusal('('.repeat(60) + 'a' + ')'.repeat(60))).toContain('nested more than 32 deep');
    expect(refusal('-'.repeat(400) + 'a')).toMatch(/nested|too complicated/);
    expect(refusal('2^'.repeat(200) + 'a')).toMatch(/nested|terms/);
    expect(refusal('a' + '+a'.repeat(240))).toMatch(/nested|terms/);
  });

  it('answers any text with a formula that computes a number, or a FormulaError', () => {
    const words = fc.constantFrom(
      ...SYMBOLS,
      ...FORMULA_FUNCTIONS,
      ...'+ - * / ^ % ( ) [ ] { } , ; : ? ?? . = == < and or not to in end " \' ! ~ | 1 2.5 1e9 0x1f constructor cos'.split(
        ' ',
      ),
    );
    const text = fc.oneof(
      fc.string({ maxLength: 80 }),
      fc.array(words, { maxLength: 60 }).map((list) => list.join(' ')),
    );
    fc.assert(
      fc.property(text, (given) => {
        try {
          expect(typeof compileFormula(given, SYMBOLS).evaluate({ a: 1, b: 2, quantile: NaN, level: 0 })).toBe(
            'number',
          );
        } catch (error) {
          expect(error).toBeInstanceOf(FormulaError);
          expect((error as FormulaError).offset).toBeGreaterThanOrEqual(0);
          expect((error as FormulaError).offset).toBeLessThanOrEqual(given.length);
        }
      }),
      { numRuns: 1500 },
    );
  });

  it('computes what JavaScript computes', () => {
    const number = fc.integer({ min: 1, max: 9 }).map(String);
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        number,
        fc
          .tuple(tie('tree'), fc.constantFrom('+', '-', '*', '/'), tie('tree'))
          .map(([l, o, r]) => `(${String(l)} ${o} ${String(r)})`),
      ),
    }));
    fc.assert(
      fc.property(tree, (text) => {
        fc.pre(text.length <= LONGEST_FORMULA);
        expect(valueOf(text)).toBe(reference(text));
      }),
    );
  });
});

/** Fully bracketed arithmetic on digits. */
function reference(text: string): number {
  let at = 0;
  const read = (): number => {
    if (text[at] !== '(') return Number(text[at++]);
    at++;
    const left = read();
    const operator = text[++at];
    at += 2;
    const right = read();
    at++;
    return operator === '+'
      ? left + right
      : operator === '-'
        ? left - right
        : operator === '*'
          ? left * right
          : left / right;
  };
  return read();
}
