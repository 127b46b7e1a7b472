import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = fileURLToPath(new URL('../../../bpf/', import.meta.url));

export interface BuiltBpf {
  readonly directory: string;
  remove(): void;
}

/** Compiles bpf/*.bpf.c into a folder of its own, so that a test sees the sources as they are, whatever dist/ holds. */
export function buildBpf(): BuiltBpf {
  const directory = mkdtempSync(join(tmpdir(), 'tailgov-bpf-'));
  for (const name of readdirSync(SOURCES).filter((file) => file.endsWith('.bpf.c'))) {
    compileBpf(join(SOURCES, name), join(directory, name.replace(/\.c$/, '.o')));
  }
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** @throws Error with what clang said */
export function compileBpf(source: string, object: string): void {
  const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wall', '-Werror', '-I', SOURCES];
  execFileSync('clang', [...flags, '-c', source, '-o', object], { stdio: ['ignore', 'ignore', 'pipe'] });
}
