/** A scatter plot of the sensor's figure against the client's, both logarithmic, with the line on which they are equal. */
export function identityPlot(
  quantile: string,
  series: readonly {
    readonly method: string;
    readonly points: readonly { readonly clientUs: number; readonly sensorUs: number }[];
  }[],
): string {
  const all = series.flatMap(({ points }) => points.flatMap(({ clientUs, sensorUs }) => [clientUs, sensorUs]));
  const positive = all.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(...positive)));
  const high = Math.ceil(Math.log10(Math.max(...positive)));
  const [size, margin] = [420, 56];
  const place = (valueUs: number) =>
    ((Math.log10(Math.max(valueUs, 10 ** low)) - low) / (high - low)) * (size - 2 * margin);
  const x = (valueUs: number) => (margin + place(valueUs)).toFixed(1);
  const y = (valueUs: number) => (size - margin - place(valueUs)).toFixed(1);
  const decades = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
  const label = (valueUs: number) =>
    valueUs >= 1e6 ? `${valueUs / 1e6} s` : valueUs >= 1000 ? `${valueUs / 1000} ms` : `${valueUs} µs`;
  const marks = [
    (cx: string, cy: string) => `<circle cx="${cx}" cy="${cy}" r="3" fill="#2563eb" fill-opacity="0.7"/>`,
    (cx: string, cy: string) =>
      `<rect x="${Number(cx) - 2.5}" y="${Number(cy) - 2.5}" width="5" height="5" fill="#d97706" fill-opacity="0.7"/>`,
    (cx: string, cy: string) => `<circle cx="${cx}" cy="${cy}" r="3" fill="none" stroke="#059669"/>`,
    (cx: string, cy: string) => `<path d="M${Number(cx) - 3} ${Number(cy) - 3}l6 6m0 -6l-6 6" stroke="#7c3aed"/>`,
  ];
  const grid = decades.map(
    (decade) =>
      `<path d="M${x(decade)} ${margin}V${size - margin}M${margin} ${y(decade)}H${size - margin}" stroke="#d1d5db"/>` +
      `<text x="${x(decade)}" y="${size - margin + 16}" text-anchor="middle">${label(decade)}</text>` +
      `<text x="${margin - 6}" y="${Number(y(decade)) + 4}" text-anchor="end">${label(decade)}</text>`,
  );
  const legend = series.map(
    ({ method }, index) =>
      `${marks[index]!(String(margin + 14), String(margin + 14 + 16 * index))}<text x="${margin + 24}" y="${margin + 18 + 16 * index}">${method}</text>`,
  );
  const dots = series.flatMap(({ points }, index) =>
    points.map(({ clientUs, sensorUs }) => marks[index]!(x(clientUs), y(sensorUs))),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" font-family="sans-serif" font-size="11" fill="#374151">
<rect width="${size}" height="${size}" fill="#ffffff"/>
${grid.join('\n')}
<path d="M${x(10 ** low)} ${y(10 ** low)}L${x(10 ** high)} ${y(10 ** high)}" stroke="#6b7280" stroke-dasharray="4 3"/>
${dots.join('\n')}
${legend.join('\n')}
<text x="${size / 2}" y="24" text-anchor="middle" font-size="14">${quantile}</text>
<text x="${size / 2}" y="${size - 12}" text-anchor="middle">client, from its write</text>
<text x="14" y="${size / 2}" text-anchor="middle" transform="rotate(-90 14 ${size / 2})">sensor</text>
</svg>
`;
}
