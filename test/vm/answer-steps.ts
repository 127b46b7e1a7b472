/** Performs steps of a table of kernel answers on any tree: the guest's /sys, or a model of it. */
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import type { KernelScenario, KernelStep } from '../sysfs/kernel-answers.ts';

/** What a boot is told to perform; each scenario comes after `start`. */
export interface AnswerJob {
  readonly start: readonly KernelStep[];
  readonly scenarios: readonly KernelScenario[];
}

/** By scenario, and in it by step, those of `start` first. */
export type Answers = readonly (readonly string[])[];

export function answersOf(tree: Pick<SysfsTree, 'read' | 'write'>, job: AnswerJob, afterStep = () => {}): Answers {
  return job.scenarios.map((scenario) =>
    [...job.start, ...scenario.steps].map((step) => {
      const answer = answerOf(tree, step);
      afterStep();
      return answer;
    }),
  );
}

/** For a read the text, for a write `ok`, or else the errno. */
function answerOf(tree: Pick<SysfsTree, 'read' | 'write'>, step: KernelStep): string {
  if (step.operation === 'read') {
    const result = tree.read(step.path);
    return result.ok ? result.value : result.errno;
  }
  const result = tree.write(step.path, step.text);
  return result.ok ? 'ok' : result.errno;
}

/** One line for each answer that is not the one expected. */
export function differences(job: AnswerJob, actual: Answers, expected?: Answers): readonly string[] {
  return job.scenarios.flatMap((scenario, s) =>
    [...job.start, ...scenario.steps].flatMap((step, i) => {
      const answer = actual[s]?.[i];
      const wanted = expected === undefined ? step.expected : expected[s]?.[i];
      if (answer === wanted) return [];
      const what = step.operation === 'read' ? 'read' : `write ${JSON.stringify(step.text)} to`;
      return [
        `${scenario.name}: step ${i - job.start.length + 1}: ${what} ${step.path}: ${answer}, expected ${wanted}`,
      ];
    }),
  );
}
