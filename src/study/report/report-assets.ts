import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The files that are written into every report. */
export type ReportAsset = 'report.css' | 'report.js' | 'uPlot.min.css' | 'uPlot.iife.min.js';

/**
 * The text of an asset: from `assets/` beside this file, which in the bundle is dist/assets with all four; from source,
 * uPlot comes out of node_modules.
 */
export function reportAsset(name: ReportAsset): string {
  const file = fileURLToPath(new URL(`./assets/${name}`, import.meta.url));
  return readFileSync(existsSync(file) ? file : createRequire(import.meta.url).resolve(`uplot/dist/${name}`), 'utf8');
}
