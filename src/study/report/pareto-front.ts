/** What a front is looked for among: both coordinates are better where they are less. */
export interface FrontPoint {
  /** null: unknown, and on no front. */
  readonly x: number | null;
  readonly y: number;
}

/** The Pareto front: the points that no other undercuts in both, in ascending x. */
export function paretoFront(points: readonly FrontPoint[]): {
  readonly x: readonly number[];
  readonly y: readonly number[];
} {
  const known = points.flatMap(({ x, y }) => (x === null ? [] : [{ x, y }]));
  known.sort((a, b) => a.x - b.x || a.y - b.y);
  let least = Infinity;
  const front = known.filter(({ y }) => {
    if (y >= least) return false;
    least = y;
    return true;
  });
  return { x: front.map(({ x }) => x), y: front.map(({ y }) => y) };
}
