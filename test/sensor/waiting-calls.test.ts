import { expect, it } from 'vitest';
import { waitingCalls } from '../../src/sensor/waiting-calls.ts';

const numbers = (architecture: string) =>
  [...waitingCalls(architecture).entries()].flatMap(([n, on]) => (on ? [n] : []));

it('waitingCalls() knows epoll_wait, poll and select and what came of them, by the numbers of the architecture', () => {
  expect(numbers('x64')).toEqual([7, 23, 232, 270, 271, 281, 441]);
  expect(numbers('arm64')).toEqual([22, 72, 73, 441]);
  expect(numbers('riscv64')).toEqual([]);
});
