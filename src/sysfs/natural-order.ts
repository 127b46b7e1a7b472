const collator = new Intl.Collator('en', { numeric: true });

/** Sorts names with the numbers inside them by value: `policy9`, `policy10`. */
export function naturalOrder(names: Iterable<string>): readonly string[] {
  return [...names].sort(collator.compare);
}
