import { create, parseDependencies } from 'mathjs/number';

/** What is wrong with a formula, and at which character of its text, counted from 0. */
export class FormulaError extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.name = 'FormulaError';
    this.offset = offset;
  }
}

/** A compiled formula. Its arithmetic is ours: of mathjs only the parser has seen the text, and nothing of it is left here. */
export interface Formula {
  /** The symbols that it reads. */
  readonly symbols: readonly string[];
  /** @param values by symbol; NaN stands for what is not known */
  evaluate(values: Readonly<Record<string, number>>): number;
}

export const LONGEST_FORMULA = 500;
/** Costs about a microsecond to evaluate. */
const MOST_NODES = 200;
const DEEPEST = 32;

type Values = Readonly<Record<string, number>>;
type Compiled = (values: Values) => number;
type Operation = (...operands: number[]) => number;

interface Fun {
  readonly operands: readonly [least: number, most: number];
  readonly apply: Operation;
}

const one = (apply: (x: number) => number): Fun => ({ operands: [1, 1], apply });
const truth = (condition: boolean) => (condition ? 1 : 0);
const known = (x: number) => !Number.isNaN(x);
/** A comparison with what is not known is not known. */
const comparison =
  (holds: (a: number, b: number) => boolean): Operation =>
  (a: number, b: number) =>
    known(a) && known(b) ? truth(holds(a, b)) : NaN;
const clamp = (x: number, low: number, high: number) => Math.min(high, Math.max(low, x));

/** The whitelist: whatever is in none of these tables is refused. */
const FUNCTIONS: ReadonlyMap<string, Fun> = new Map<string, Fun>([
  ['abs', one(Math.abs)],
  ['ceil', one(Math.ceil)],
  ['clamp', { operands: [3, 3], apply: clamp }],
  ['exp', one(Math.exp)],
  ['floor', one(Math.floor)],
  ['log', one(Math.log)],
  ['log10', one(Math.log10)],
  ['log2', one(Math.log2)],
  ['max', { operands: [1, 16], apply: Math.max }],
  ['min', { operands: [1, 16], apply: Math.min }],
  ['pow', { operands: [2, 2], apply: Math.pow }],
  ['round', one(Math.round)],
  ['sign', one(Math.sign)],
  ['sqrt', one(Math.sqrt)],
  ['tanh', one(Math.tanh)],
]);

/** By the names that the parser gives them. */
const OPERATORS: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ['unaryMinus', (a: number) => -a],
  ['unaryPlus', (a: number) => a],
  ['not', (a: number) => (known(a) ? truth(a === 0) : NaN)],
  ['add', (a: number, b: number) => a + b],
  ['subtract', (a: number, b: number) => a - b],
  ['multiply', (a: number, b: number) => a * b],
  ['divide', (a: number, b: number) => a / b],
  ['mod', (a: number, b: number) => a - b * Math.floor(a / b)],
  ['pow', Math.pow],
  ['smaller', comparison((a, b) => a < b)],
  ['smallerEq', comparison((a, b) => a <= b)],
  ['larger', comparison((a, b) => a > b)],
  ['largerEq', comparison((a, b) => a >= b)],
  ['equal', comparison((a, b) => a === b)],
  ['unequal', comparison((a, b) => a !== b)],
  ['and', comparison((a, b) => a !== 0 && b !== 0)],
  ['or', comparison((a, b) => a !== 0 || b !== 0)],
  ['nullish', (a: number, b: number) => (known(a) ? a : b)],
]);

const CONSTANTS: Readonly<Record<string, number>> = { pi: Math.PI, e: Math.E };

export const FORMULA_FUNCTIONS: readonly string[] = [...FUNCTIONS.keys()];

/** As much of a parsed expression as arithmetic needs. */
type Node =
  | { readonly type: 'ConstantNode'; readonly value: unknown }
  | { readonly type: 'SymbolNode'; readonly name: string }
  | { readonly type: 'ParenthesisNode'; readonly content: Node }
  | { readonly type: 'OperatorNode'; readonly fn: string; readonly op: string; readonly args: readonly Node[] }
  | { readonly type: 'FunctionNode'; readonly fn: Node; readonly args: readonly Node[] }
  | { readonly type: 'ConditionalNode'; readonly condition: Node; readonly trueExpr: Node; readonly falseExpr: Node };

/** Made when the first formula is parsed: takes a millisecond. */
let parser: ((text: string) => Node) | undefined;

function parse(text: string): Node {
  parser ??= create({ parseDependencies: parseDependencies! }).parse as unknown as (text: string) => Node;
  return parser(text);
}

/**
 * Parses, checks and compiles. Never evaluates: an expression of the parser's language that is not plain arithmetic on known
 * symbols (assignment, property, index, string, matrix, object, function definition, unit, ...) is refused.
 *
 * @param symbols the names that it may read
 * @throws FormulaError
 */
export function compileFormula(text: string, symbols: readonly string[]): Formula {
  if (text.length > LONGEST_FORMULA) {
    throw new FormulaError(0, `${text.length} characters, expected at most ${LONGEST_FORMULA}`);
  }
  const foreign = /[^\x20-\x7e]/.exec(text);
  if (foreign !== null) {
    throw new FormulaError(
      foreign.index,
      `a line break or the character ${JSON.stringify(foreign[0])}, expected one line of ASCII`,
    );
  }
  refuseDeepBrackets(text);
  const used = new Set<string>();
  const evaluate = compile(parseText(text), { text, symbols: new Set(symbols), used, left: { nodes: MOST_NODES } }, 0);
  return { symbols: [...used], evaluate };
}

/** The parser recurses some twenty calls deep for each bracket. */
function refuseDeepBrackets(text: string): void {
  let depth = 0;
  for (let offset = 0; offset < text.length; offset++) {
    if ('([{'.includes(text[offset]!)) depth++;
    if (')]}'.includes(text[offset]!)) depth--;
    if (depth > DEEPEST) throw new FormulaError(offset, `nested more than ${DEEPEST} deep`);
  }
}

function parseText(text: string): Node {
  try {
    return parse(text);
  } catch (error) {
    // Its own errors say at which character; of anything else, a stack that overflowed, only that it cannot be parsed.
    const { char } = error as { char?: unknown };
    const message = error instanceof SyntaxError ? error.message.replace(/ \(char \d+\)$/, '') : 'too complicated';
    const offset = typeof char === 'number' ? Math.min(text.length, Math.max(0, char - 1)) : 0;
    throw new FormulaError(offset, `cannot be parsed: ${message.charAt(0).toLowerCase()}${message.slice(1)}`);
  }
}

interface Context {
  readonly text: string;
  readonly symbols: ReadonlySet<string>;
  readonly used: Set<string>;
  readonly left: { nodes: number };
}

function compile(node: Node, context: Context, depth: number): Compiled {
  if (--context.left.nodes < 0) throw new FormulaError(0, `more than ${MOST_NODES} terms`);
  if (depth > DEEPEST) throw new FormulaError(0, `nested more than ${DEEPEST} deep`);
  const inner: Inner = (child) => compile(child, context, depth + 1);
  switch (node.type) {
    case 'ConstantNode':
      return constant(node.value);
    case 'SymbolNode':
      return symbol(node.name, context);
    case 'ParenthesisNode':
      return inner(node.content);
    case 'OperatorNode':
      return operator(node, context, inner);
    case 'FunctionNode':
      return call(node, context, inner);
    case 'ConditionalNode': {
      const [test, yes, no] = [inner(node.condition), inner(node.trueExpr), inner(node.falseExpr)];
      return (values) => {
        const holds = test(values);
        return known(holds) ? (holds !== 0 ? yes(values) : no(values)) : NaN;
      };
    }
    default: {
      const { type } = node as { readonly type: string };
      throw new FormulaError(0, `${KINDS[type] ?? type} found, expected arithmetic on signals and numbers`);
    }
  }
}

const KINDS: Readonly<Record<string, string>> = {
  AccessorNode: 'a property',
  ArrayNode: 'a matrix',
  AssignmentNode: 'an assignment',
  BlockNode: 'several expressions',
  FunctionAssignmentNode: 'a function definition',
  IndexNode: 'an index',
  ObjectNode: 'an object',
  RangeNode: 'a range',
  RelationalNode: 'a chain of comparisons',
};

function constant(value: unknown): Compiled {
  if (typeof value === 'boolean') return () => truth(value);
  if (typeof value === 'number' && Number.isFinite(value)) return () => value;
  if (value === undefined) throw new FormulaError(0, 'nothing found, expected an expression');
  const given =
    typeof value === 'string' ? 'a text' : typeof value === 'number' ? 'a number too large to compute with' : 'null';
  throw new FormulaError(0, `${given} found, expected arithmetic on signals and numbers`);
}

function symbol(name: string, { text, symbols, used }: Context): Compiled {
  if (symbols.has(name)) {
    used.add(name);
    return (values) => values[name]!;
  }
  if (Object.hasOwn(CONSTANTS, name)) {
    const value = CONSTANTS[name]!;
    return () => value;
  }
  const hint = FUNCTIONS.has(name) ? `, ${name} is a function: ${name}(...)` : '';
  throw new FormulaError(
    offsetOf(text, name),
    `unknown name ${JSON.stringify(name)}${hint}, expected one of ${[...symbols].join(', ')}`,
  );
}

type NodeOf<Type extends Node['type']> = Extract<Node, { readonly type: Type }>;
type Inner = (child: Node) => Compiled;

function operator({ fn, op, args }: NodeOf<'OperatorNode'>, { text }: Context, inner: Inner): Compiled {
  const apply = OPERATORS.get(fn);
  if (apply === undefined) throw new FormulaError(Math.max(0, text.indexOf(op)), `unknown operator ${op}`);
  const [a, b] = args.map(inner);
  return b === undefined ? (values) => apply(a!(values)) : (values) => apply(a!(values), b(values));
}

function call({ fn, args }: NodeOf<'FunctionNode'>, { text }: Context, inner: Inner): Compiled {
  const name = fn.type === 'SymbolNode' ? fn.name : '';
  const found = FUNCTIONS.get(name);
  if (found === undefined) {
    const given = name === '' ? 'a computed function' : `unknown function ${JSON.stringify(name)}`;
    throw new FormulaError(offsetOf(text, name), `${given}, expected one of ${FORMULA_FUNCTIONS.join(', ')}`);
  }
  const [least, most] = found.operands;
  if (args.length < least || args.length > most) {
    const expected = least === most ? String(least) : `${least} to ${most}`;
    throw new FormulaError(offsetOf(text, name), `${name} has ${args.length} arguments, expected ${expected}`);
  }
  const operands = args.map(inner);
  return (values) => found.apply(...operands.map((operand) => operand(values)));
}

/** The tree does not say where its parts stand, but a name can be found. */
function offsetOf(text: string, name: string): number {
  const found = name === '' ? null : new RegExp(`(?<![\\w$])${name.replaceAll('$', '\\$')}(?![\\w$])`).exec(text);
  return found?.index ?? 0;
}
