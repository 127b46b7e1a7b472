/**
 * Tables for Marsaglia and Tsang's ziggurat ("The Ziggurat Method for Generating Random Variables", Journal of Statistical
 * Software 5(8), 2000): a falling density is covered by 256 layers of equal area, so that almost every draw takes one
 * multiplication and one comparison, and no logarithm.
 */
export interface Ziggurat {
  /** Where each layer ends, falling; layer 0 stands for the bottom layer with the tail beyond `tailEdge`. */
  readonly edges: Float64Array;
  /** The density at each edge, rising from layer 1 on. */
  readonly heights: Float64Array;
  readonly tailEdge: number;
}

const LAYERS = 256;

/**
 * @param density falling, with density(0) = 1
 * @param inverse of the density
 * @param tailEdge where the tail begins, chosen so that the layers close at the top (the paper's r)
 * @param tailArea the density's integral from there on
 */
function ziggurat(
  density: (x: number) => number,
  inverse: (y: number) => number,
  tailEdge: number,
  tailArea: number,
): Ziggurat {
  const area = tailEdge * density(tailEdge) + tailArea;
  const edges = new Float64Array(LAYERS + 1);
  edges[0] = area / density(tailEdge);
  edges[1] = tailEdge;
  for (let layer = 2; layer < LAYERS; layer++) {
    const below = edges[layer - 1]!;
    edges[layer] = inverse(density(below) + area / below);
  }
  // The top layer closes at the density's peak, where rounding must not leave a gap.
  edges[LAYERS] = 0;
  return { edges, heights: edges.map(density), tailEdge };
}

export const EXPONENTIAL = ziggurat(
  (x) => Math.exp(-x),
  (y) => -Math.log(y),
  7.69711747013104972,
  Math.exp(-7.69711747013104972),
);

/** The half normal density without its factor; √(π/2) · erfc(r ÷ √2) is its area beyond r. */
export const NORMAL = ziggurat(
  (x) => Math.exp((-x * x) / 2),
  (y) => Math.sqrt(-2 * Math.log(y)),
  3.6541528853610088,
  0.00492867323399 - 3.6541528853610088 * Math.exp(-(3.6541528853610088 ** 2) / 2),
);
