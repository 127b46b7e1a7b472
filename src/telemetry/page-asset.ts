import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * The text of a file that pages carry: from `assets/` beside `module`, or beside this one where pages share it; in the bundle
 * both are dist/assets, which has all of them. From source, uPlot's come out of node_modules.
 *
 * @param module the address (`import.meta.url`) of whoever makes the page
 */
export function pageAsset(module: string, name: string): string {
  const places = [module, import.meta.url].map((beside) => fileURLToPath(new URL(`./assets/${name}`, beside)));
  const file = places.find((place) => existsSync(place));
  return readFileSync(file ?? createRequire(import.meta.url).resolve(`uplot/dist/${name}`), 'utf8');
}
