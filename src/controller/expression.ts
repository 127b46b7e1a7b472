import { z } from 'zod';
import { controllerKind } from '../core/controller-kind.ts';
import type { ControllerInput, ControllerOutput, Level } from '../core/controller.ts';
import { toleratedRatio } from '../core/slo.ts';
import { formatNs, formatQuantile, NS_PER_MS } from '../core/units.ts';
import { compileFormula, type Formula, FormulaError, LONGEST_FORMULA } from './formula.ts';
import { guardedController, type PlainLaw } from './guarded-controller.ts';
import { guardParameters } from './guard-parameters.ts';
import { percent } from './percent.ts';

/** What formulas may read of a step; docs/controllers/expression.md explains each. Times in ms. NaN: not known. */
const SIGNALS: Readonly<Record<string, (input: ControllerInput) => number | null>> = {
  quantile: ({ observation }) => inMs(observation.quantileNs),
  median: ({ observation }) => inMs(observation.medianNs),
  target: ({ slo }) => inMs(slo.latencyNs),
  socketWait: ({ observation }) => inMs(observation.socketWaitNs),
  handlingTime: ({ observation }) => inMs(observation.handlingTimeNs),
  demand: ({ observation }) => inMs(observation.demandNs),
  oldest: ({ observation }) => inMs(observation.oldestInFlightNs),
  window: ({ observation }) => observation.windowMs,
  elapsed: ({ elapsedMs }) => elapsedMs,
  requests: ({ observation }) => observation.requests,
  overSlo: ({ observation }) => observation.overSlo,
  tolerated: ({ slo }) => toleratedRatio(slo),
  latestQuantile: ({ observation }) => inMs(observation.latest.quantileNs),
  latestRequests: ({ observation }) => observation.latest.requests,
  latestOverSlo: ({ observation }) => observation.latest.overSlo,
  arrivalRate: ({ observation: { latest } }) =>
    latest.windowMs > 0 ? (latest.arrivals * 1000) / latest.windowMs : null,
  throughput: ({ observation }) => observation.throughputRps,
  inFlight: ({ observation }) => observation.inFlight,
  utilization: ({ observation }) => observation.utilization,
  alarmed: ({ observation }) => (observation.alarmed ? 1 : 0),
  applied: ({ appliedLevel }) => appliedLevel,
  min: ({ limits }) => limits.min,
  max: ({ limits }) => limits.max,
};
/** The level that the law asked for last. */
const ASKED = 'level';

const inMs = (ns: number | null) => (ns === null ? null : ns / NS_PER_MS);

const SIGNAL_NAMES = [ASKED, ...Object.keys(SIGNALS)];
const STATE_NAME = /^[A-Za-z][A-Za-z0-9_]{0,31}$/;
const MOST_STATES = 16;
const DEFAULT_LAW = 'level + clamp(0.2 * log(quantile / (0.8 * target)), -0.01, 0.2)';

const formulaText = () => z.string().max(LONGEST_FORMULA);

const shape = z.strictObject({
  level: formulaText()
    .default(DEFAULT_LAW)
    .describe('The law: a formula for the level, of signals, states and the level that it asked for last'),
  state: z
    .record(
      z.string(),
      z.strictObject({
        initial: z
          .union([z.number(), formulaText()])
          .default(0)
          .describe('Where it starts: a number, or a formula of the level that the law takes over at'),
        next: formulaText().describe('A formula for its next value, of signals and the present states'),
      }),
    )
    .default({})
    .describe('What the law remembers, by name; level reads the new values'),
  ...guardParameters.shape,
});

type Given = z.output<typeof shape>;

const parameters = shape.superRefine((given, context) => {
  for (const { path, message, offset } of problemsOf(given)) {
    context.addIssue({ code: 'custom', path, message, params: { offset } });
  }
});

interface Problem {
  readonly path: string[];
  readonly message: string;
  /** In the formula's text, from 0. */
  readonly offset: number;
}

interface CompiledState {
  readonly name: string;
  readonly initial: Formula;
  readonly next: Formula;
}

interface Compiled {
  readonly level: Formula;
  readonly states: readonly CompiledState[];
}

function problemsOf(given: Given): readonly Problem[] {
  const problems: Problem[] = [];
  compileAll(given, (problem) => problems.push(problem));
  return problems;
}

/** @returns null where there was a problem */
function compileAll({ level, state }: Given, complain: (problem: Problem) => void): Compiled | null {
  let sound = true;
  const fail = (path: string[], message: string, offset = 0) => {
    sound = false;
    complain({ path, message, offset });
    return null;
  };
  const compile = (path: string[], text: string, symbols: readonly string[]): Formula | null => {
    try {
      return compileFormula(text, symbols);
    } catch (error) {
      if (!(error instanceof FormulaError)) throw error;
      return fail(path, error.message, error.offset);
    }
  };
  const names = Object.keys(state);
  if (names.length > MOST_STATES) fail(['state'], `${names.length} states, expected at most ${MOST_STATES}`);
  for (const name of names) {
    if (SIGNAL_NAMES.includes(name)) fail(['state', name], `${name} is a signal, expected another name`);
    else if (!STATE_NAME.test(name)) {
      fail(['state', name], `${JSON.stringify(name)} is no name, expected a letter and then letters, digits or _`);
    }
  }
  const symbols = [...SIGNAL_NAMES, ...names];
  const compiledLevel = compile(['level'], level, symbols);
  const states = names.map((name) => {
    const { initial, next } = state[name]!;
    const start = compile(['state', name, 'initial'], String(initial), [ASKED]);
    const following = compile(['state', name, 'next'], next, symbols);
    return start === null || following === null ? null : { name, initial: start, next: following };
  });
  if (!sound || compiledLevel === null) return null;
  return { level: compiledLevel, states: states.filter((one) => one !== null) };
}

type Values = Readonly<Record<string, number>>;

export interface ExpressionState {
  readonly asked: Level;
  readonly states: Values;
}

export function expressionLaw(given: Given): PlainLaw<ExpressionState> {
  const compiled = compileAll(given, ({ path, message }) => {
    throw new Error(`${path.join('.')}: ${message}`);
  })!;

  function initial(level: Level): ExpressionState {
    const states = compiled.states.map(
      ({ name, initial: start }) => [name, start.evaluate({ [ASKED]: level })] as const,
    );
    return { asked: level, states: Object.fromEntries(states) };
  }

  function step(input: ControllerInput, { asked, states }: ExpressionState): ControllerOutput<ExpressionState> {
    const { observation, slo, limits } = input;
    const signals = Object.entries(SIGNALS).map(([name, read]) => [name, read(input) ?? NaN] as const);
    const before: Values = { ...Object.fromEntries(signals), ...states, [ASKED]: asked };
    const next = compiled.states.map(({ name, next: formula }) => {
      return [name, valueOf(formula, before, `state ${name}`) ?? states[name]!] as const;
    });
    const now = Object.fromEntries(next);
    const wanted = valueOf(compiled.level, { ...before, ...now }, 'the level');
    const level = Math.min(limits.max, Math.max(limits.min, wanted ?? asked));
    const figure = `${formatQuantile(slo.quantile)} ${observation.quantileNs === null ? 'not known' : formatNs(observation.quantileNs)}`;
    const reason =
      wanted === null
        ? `${figure}, the formula needs what is not known: staying at ${percent(level)}`
        : `${figure}: the formula says ${percent(level)}`;
    return { level, state: { asked: level, states: now }, reason };
  }

  return { name: 'expression', initial, step, moved: (state, level) => ({ ...state, asked: level }) };
}

/**
 * @returns null where the formula needs a signal that is not known now
 * @throws Error where it has no finite value though all is known: a fault of the formula
 */
function valueOf(formula: Formula, values: Values, what: string): number | null {
  const value = formula.evaluate(values);
  if (Number.isFinite(value)) return value;
  if (formula.symbols.some((name) => Number.isNaN(values[name]))) return null;
  const given = formula.symbols.map((name) => `${name} ${Number(values[name]!.toPrecision(4))}`).join(', ');
  throw new Error(`${what} became ${value}${given === '' ? '' : ` at ${given}`}, expected a number`);
}

export const expression = controllerKind({
  name: 'expression',
  summary: 'The user’s own law: formulas of latency, load and state, checked and compiled when the policy is loaded',
  parameters,
  create: (given) => guardedController(expressionLaw(given), { ...given, setpoint: 0.85 }),
});
