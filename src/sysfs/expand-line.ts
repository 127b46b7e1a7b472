/** `{0-3}` or `{0-3,8}` in a path. */
const RANGES = /\{(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)\}/;
/** `{n}`, `{n+64}`, `{n-64}` in a text. */
const NUMBER = /\{n(?:([+-])(\d+))?\}/g;
const MOST_NUMBERS = 4096;
/** As the kernel's PATH_MAX. */
const LONGEST_PATH = 4096;
/** In all that one line stands for: far above what a machine needs. */
const MOST_CHARACTERS = 2 ** 21;

/**
 * In the description of a machine one line can stand for many files: `cpu{0-3,8}/core_id` is a file for each number, and in
 * its text `{n}` is that number, `{n+64}` and `{n-64}` are 64 more and less.
 * @returns pairs of path and text, or what is wrong
 */
export function expandLine(path: string, text: string): readonly (readonly [string, string])[] | string {
  if (path.length > LONGEST_PATH) return `a path of ${path.length} characters, expected at most ${LONGEST_PATH}`;
  const match = RANGES.exec(path);
  if (match === null)
    return path.includes('{') ? `${path}, expected numbers such as {0-3,8} in braces` : [[path, text]];
  const numbers: number[] = [];
  for (const part of match[1]!.split(',')) {
    const [first, last = first] = part.split('-').map(Number) as [number, number?];
    // Beyond the safe integers counting up would never come to an end.
    if (!Number.isSafeInteger(last) || last < first || last - first + numbers.length >= MOST_NUMBERS) {
      return `{${match[1]}}, expected ascending ranges of at most ${MOST_NUMBERS} numbers`;
    }
    for (let number = first; number <= last; number++) numbers.push(number);
  }
  const characters = numbers.length * (path.length + text.length);
  if (characters > MOST_CHARACTERS)
    return `${numbers.length} files, ${characters} characters in all, expected at most ${MOST_CHARACTERS}`;
  return numbers.map((number) => {
    const value = (_: string, sign?: string, offset?: string) =>
      String(number + (offset === undefined ? 0 : Number(`${sign}${offset}`)));
    return [path.replace(RANGES, String(number)), text.replace(NUMBER, value)] as const;
  });
}
