/** What a run of tests amounts to: the arithmetic of test/run.mjs, without its processes. */

/** @typedef {{ passed: number, failed: number, skipped: number, note?: string }} Counts */

/**
 * @param report what vitest's JSON reporter wrote, or null when it wrote nothing
 * @param {number} exitCode vitest's own
 * @returns {Counts}
 */
export function countResults(report, exitCode) {
  if (report === null) return { passed: 0, failed: 1, skipped: 0, note: 'vitest ended without a report' };
  // A file that cannot be loaded fails without a failed test of its own.
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const counts = {
    passed: report.numPassedTests,
    failed: report.numFailedTests + brokenFiles.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
  const notes = [];
  if (brokenFiles.length > 0) notes.push(`failed as a whole: ${brokenFiles.map((file) => file.name).join(', ')}`);
  if (exitCode !== 0 && counts.failed === 0) {
    counts.failed = 1;
    notes.push(`vitest exited with ${exitCode}`);
  }
  const again = secondTries(report).map((test) => test.name);
  if (again.length > 0) notes.push(`passed only on a second try: ${again.join('; ')}`);
  return notes.length === 0 ? counts : { ...counts, note: notes.join('; ') };
}

/** @returns {{ name: string, failures: string[] }[]} the tests that failed and then passed, and what they failed with */
export function secondTries(report) {
  return report.testResults.flatMap((file) =>
    file.assertionResults
      .filter((test) => test.status === 'passed' && test.failureMessages.length > 0)
      .map((test) => ({ name: `${file.name} > ${test.title}`, failures: test.failureMessages })),
  );
}

/**
 * @param {readonly { name: string, required: boolean, counts: Counts | null, reason: string | null }[]} results
 *   `counts` is null for a project that was left out
 * @param {{ strict: boolean }} options strict: a skipped test is a failed one
 * @returns {{ lines: string[], total: Counts, ok: boolean }}
 */
export function judge(results, { strict }) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  const lines = results.map(({ name, required, counts, reason }) => {
    if (counts === null) {
      if (required) total.failed += 1;
      return `${name}: left out, ${reason}${required ? ' (required here: counted as 1 failed)' : ''}`;
    }
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
    return `${name}: ${formatCounts(counts)}${counts.note === undefined ? '' : ` (${counts.note})`}`;
  });
  if (strict && total.skipped > 0) {
    lines.push(`skipped tests count as failed here: ${total.skipped}`);
    total.failed += total.skipped;
    total.skipped = 0;
  }
  const ran = total.passed + total.failed + total.skipped > 0;
  if (!ran) lines.push('no test matched');
  return { lines, total, ok: ran && total.failed === 0 };
}

/** @param {Counts} counts */
export function formatCounts({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
