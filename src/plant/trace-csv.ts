import { type FileProblem, PolicyError } from '../core/errors.ts';
import { NS_PER_S } from '../core/units.ts';
import type { LoadStep, LoadTrace } from './load-trace.ts';

/**
 * A load trace from a file of lines `seconds,multiplier`: from that second on, the load is multiplied so. An optional first
 * line names the columns; empty lines and lines that begin with # are skipped. The first time must be 0; the last multiplier
 * holds on.
 *
 * @throws PolicyError with every bad line
 */
export function parseTraceCsv(file: string, text: string): LoadTrace {
  const problems: FileProblem[] = [];
  const points: { startNs: number; multiplier: number }[] = [];
  text.split('\n').forEach((raw, index) => {
    const line = raw.trim();
    if (
      line === '' ||
      line.startsWith('#') ||
      (points.length === 0 && problems.length === 0 && /^[A-Za-z]/.test(line))
    ) {
      return;
    }
    const cells = line.split(',').map((cell) => cell.trim());
    const [seconds, multiplier] = cells.map(Number);
    const complain = (message: string) => problems.push({ file, line: index + 1, column: 1, message });
    if (cells.length !== 2 || cells.includes('') || !Number.isFinite(seconds) || !Number.isFinite(multiplier)) {
      complain(`${JSON.stringify(line)} given, expected seconds and a multiplier such as 60,0.8`);
    } else if (multiplier! < 0) {
      complain(`multiplier ${multiplier} given, expected at least 0`);
    } else if (points.length === 0 ? seconds !== 0 : seconds! * NS_PER_S <= points.at(-1)!.startNs) {
      complain(`${seconds} s given, expected ${points.length === 0 ? 'the first time to be 0' : 'times to ascend'}`);
    } else {
      points.push({ startNs: seconds! * NS_PER_S, multiplier: multiplier! });
    }
  });
  if (problems.length === 0 && !points.some(({ multiplier }) => multiplier > 0)) {
    problems.push({ file, line: 1, column: 1, message: 'no load at all, expected a line with a multiplier above 0' });
  }
  if (problems.length > 0) throw new PolicyError('bad-file', problems);
  const steps = points.map(({ multiplier }, i): LoadStep => ({
    untilNs: points[i + 1]?.startNs ?? Infinity,
    multiplier,
  }));
  return { kind: 'steps', name: file, steps, repeat: false };
}
