import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import type { KernelStep } from './kernel-answers.ts';

/** One line for each step that was answered otherwise than expected. */
export function differences(tree: SysfsTree, steps: readonly KernelStep[]): readonly string[] {
  const found: string[] = [];
  for (const step of steps) {
    const answer = answerOf(tree, step);
    if (answer !== step.expected) {
      found.push(`${step.operation} ${step.path} ${JSON.stringify(step.text)}: ${answer}, expected ${step.expected}`);
    }
  }
  return found;
}

function answerOf(tree: SysfsTree, { operation, path, text }: KernelStep): string {
  if (operation === 'read') {
    const result = tree.read(path);
    return result.ok ? result.value : result.errno;
  }
  const result = tree.write(path, text);
  return result.ok ? 'ok' : result.errno;
}
