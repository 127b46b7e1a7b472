import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { controllers } from '../../src/compose/controllers.ts';

/** The rows of a page's tables that begin with a parameter and its default, as numbers; durations in ms. */
function documentedDefaults(name: string): readonly (readonly [string, number])[] {
  const page = readFileSync(join(import.meta.dirname, `../../docs/controllers/${name}.md`), 'utf8');
  return [...page.matchAll(/^\| `(\w+)` +\| ([\d.]+)(ms|s|) +\|/gm)].map(([, parameter, value, unit]) => {
    return [parameter!, Number(value) * (unit === 's' ? 1000 : 1)] as const;
  });
}

it.each(['pid', 'threshold', 'model', 'utilization'])(
  'docs/controllers/%s.md shows the defaults of the schema',
  (name) => {
    const documented = documentedDefaults(name);
    const defaults = controllers[name]!.parameters.parse({});
    expect(documented.length).toBeGreaterThan(0);
    for (const [parameter, value] of documented) expect([parameter, defaults[parameter]]).toEqual([parameter, value]);
  },
);
