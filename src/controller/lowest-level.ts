import type { ControllerInput, Level } from '../core/controller.ts';

const BISECTIONS = 10;

/** The lowest level that suffices, of a condition that every higher level meets as well; the highest where none does. */
export function lowestLevel({ min, max }: ControllerInput['limits'], suffices: (level: Level) => boolean): Level {
  if (suffices(min)) return min;
  let low = min;
  let high = max;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (suffices(middle)) high = middle;
    else low = middle;
  }
  return high;
}
