import { defineConfig } from 'vitest/config';

/** These put something else in the place of a module of Node's, which needs modules that nobody has loaded before. */
const MOCKING = ['test/torture/journal.test.ts'];

/**
 * Real servers, real time and a machine that others may share: what fails once is tried once more. test/run.mjs names each
 * test that needed it, with the failure, so that none hides.
 */
const SECOND_TRY = 1;

/**
 * Three kinds of tests: `unit` needs nothing, `kernel` needs root, BPF and real servers, `vm` boots a guest under QEMU.
 * test/run.mjs decides which of them this machine can run.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/kernel/**', 'test/vm/**', ...MOCKING],
          // Files share what they import: to load it anew for each of them takes longer than many of the tests.
          isolate: false,
          // Property tests on a machine that is busy with something else.
          testTimeout: 20_000,
        },
      },
      { test: { name: 'unit-mocking', include: MOCKING, testTimeout: 20_000 } },
      {
        test: {
          name: 'kernel',
          include: ['test/kernel/**/*.test.ts'],
          // One file at a time: these tests share one kernel, two cores and the ports of real servers.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          retry: SECOND_TRY,
        },
      },
      {
        test: {
          name: 'vm',
          include: ['test/vm/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          retry: SECOND_TRY,
        },
      },
    ],
  },
});
