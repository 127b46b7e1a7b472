/** Makes a program of ours into what the guest can run: one file, so that it is read over 9p in one go. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build } from 'esbuild';

/** Writes FOLDER/run.mjs, which a guest with that folder runs. koffi, native in part, is read from this checkout. */
export async function bundleForGuest(entry: string, folder: string): Promise<void> {
  const koffi = createRequire(import.meta.url).resolve('koffi');
  await build({
    entryPoints: [entry],
    outfile: join(folder, 'run.mjs'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    alias: { koffi },
    external: [koffi],
    logLevel: 'warning',
  });
}
