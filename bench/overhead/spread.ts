/** `median (first quartile to third)`, for figures that are compared over rounds. */
export function summaryOf(values: readonly number[], digits: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!.toFixed(digits);
  return `${at(0.5)} (${at(0.25)} to ${at(0.75)})`;
}
