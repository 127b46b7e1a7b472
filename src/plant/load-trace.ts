import { NS_PER_MS, NS_PER_S } from '../core/units.ts';
import type { Random } from './random.ts';

/** Load over time: by how much a service's arrival rate is multiplied. 1 is the rate that the workload names. Plain data. */
export type LoadTrace =
  | { readonly kind: 'steps'; readonly name: string; readonly steps: readonly LoadStep[]; readonly repeat: boolean }
  /** Jumps between states at random, staying in each for an exponential time: a Markov-modulated process. */
  | { readonly kind: 'markov'; readonly name: string; readonly states: readonly MarkovState[] };

export interface LoadStep {
  /** Since the start of the trace (of each turn of it, where it repeats). Ascending. The last one holds on if nothing repeats. */
  readonly untilNs: number;
  readonly multiplier: number;
}

export interface MarkovState {
  readonly multiplier: number;
  readonly meanDwellNs: number;
}

const PIECES = 1000;

/** The traces that go by name; each spans the run. */
export const loadTraces: Readonly<Record<string, (durationNs: number) => LoadTrace>> = {
  constant: () => constantTrace(1),
  step: (durationNs) =>
    steps('step', [
      { untilNs: durationNs / 2, multiplier: 0.4 },
      { untilNs: durationNs, multiplier: 1 },
    ]),
  ramp: (durationNs) => sampled('ramp', durationNs, (share) => 0.1 + 0.9 * share),
  // A day with its trough before dawn and its peak in the evening: the usual fit of a user-facing service by one harmonic.
  diurnal: (durationNs) =>
    sampled('diurnal', durationNs, (share) => 0.6 - 0.4 * Math.cos(2 * Math.PI * (share - 4 / 24))),
  // Up twice as far within 2 % of the run, and back over 20 % of it.
  'flash-crowd': (durationNs) =>
    sampled('flash-crowd', durationNs, (share) => {
      if (share < 0.4) return 0.4;
      if (share < 0.42) return 0.4 + (0.6 * (share - 0.4)) / 0.02;
      return 0.4 + 0.6 * Math.exp(-(share - 0.42) / 0.07);
    }),
  square: (durationNs) =>
    steps(
      'square',
      Array.from({ length: 10 }, (_, i) => ({
        untilNs: (durationNs * (i + 1)) / 10,
        multiplier: i % 2 === 0 ? 0.3 : 0.9,
      })),
    ),
  mmpp: () => ({
    kind: 'markov',
    name: 'mmpp',
    states: [
      { multiplier: 0.4, meanDwellNs: 2 * NS_PER_S },
      { multiplier: 1, meanDwellNs: 500 * NS_PER_MS },
    ],
  }),
};

export function constantTrace(multiplier: number): LoadTrace {
  return steps('constant', [{ untilNs: Infinity, multiplier }]);
}

function steps(name: string, list: readonly LoadStep[]): LoadTrace {
  return { kind: 'steps', name, steps: list, repeat: false };
}

/** @returns what is wrong with the trace, or undefined. */
export function traceProblemOf(trace: LoadTrace): string | undefined {
  const pieces: readonly { readonly multiplier: number }[] = trace.kind === 'steps' ? trace.steps : trace.states;
  if (pieces.length === 0) return 'it is empty';
  if (!pieces.every(({ multiplier }) => multiplier >= 0 && multiplier < Infinity))
    return 'a multiplier is negative or no number';
  if (!pieces.some(({ multiplier }) => multiplier > 0)) return 'it never lets a request through';
  if (trace.kind === 'markov') {
    return trace.states.every(({ meanDwellNs }) => meanDwellNs > 0)
      ? undefined
      : 'a state has no mean dwell time above 0';
  }
  const ascending = trace.steps.every(({ untilNs }, i) => untilNs > (i === 0 ? 0 : trace.steps[i - 1]!.untilNs));
  return ascending ? undefined : 'its times do not ascend from 0';
}

/**
 * A smooth curve as a thousand steps, each at the curve's value in its middle.
 *
 * @param curve of the share of the run that is past
 */
function sampled(name: string, durationNs: number, curve: (share: number) => number): LoadTrace {
  return steps(
    name,
    Array.from({ length: PIECES }, (_, i) => ({
      untilNs: (durationNs * (i + 1)) / PIECES,
      multiplier: curve((i + 0.5) / PIECES),
    })),
  );
}

/** Walks a trace forward, one piece of constant load after the other. */
export class TraceCursor {
  multiplier = 1;
  /** Where the present piece ends, in simulated ns. */
  untilNs = 0;
  declare private readonly trace: LoadTrace;
  declare private readonly random: Random;
  private index = -1;
  private turnStartNs = 0;

  constructor(trace: LoadTrace, random: Random) {
    this.trace = trace;
    this.random = random;
    this.advance();
  }

  /** To the next piece. */
  advance(): void {
    if (this.trace.kind === 'markov') this.jump(this.trace.states);
    else this.step(this.trace.steps, this.trace.repeat);
  }

  private jump(states: readonly MarkovState[]): void {
    // Any other state with equal odds; the first is where it starts.
    const others = states.length - 1;
    this.index = this.index < 0 ? 0 : (this.index + 1 + Math.floor(this.random.nextUnit() * others)) % states.length;
    const state = states[this.index]!;
    this.multiplier = state.multiplier;
    this.untilNs += state.meanDwellNs * this.random.nextExponential();
  }

  private step(list: readonly LoadStep[], repeat: boolean): void {
    this.index++;
    if (this.index === list.length) {
      this.turnStartNs = this.untilNs;
      this.index = 0;
    }
    const step = list[this.index]!;
    this.multiplier = step.multiplier;
    const holdsOn = !repeat && this.index === list.length - 1;
    this.untilNs = holdsOn ? Infinity : this.turnStartNs + step.untilNs;
  }
}
