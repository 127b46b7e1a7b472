/** Further off than this, a known word is no likely meaning of what was written. */
const FARTHEST_EDITS = 3;

/** @returns `, did you mean "setpoint"?`, or nothing where no candidate is near */
export function didYouMean(written: string, candidates: readonly string[]): string {
  const nearest = candidates
    .map((candidate) => ({ candidate, edits: editDistance(written.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)[0];
  const near = nearest !== undefined && nearest.edits <= Math.min(FARTHEST_EDITS, nearest.candidate.length / 2);
  return near ? `, did you mean "${nearest.candidate}"?` : '';
}

/** Levenshtein's distance. Words longer than a key ever is are simply far. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > FARTHEST_EDITS) return Infinity;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
