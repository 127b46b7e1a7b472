import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const SOURCES = readdirSync(join(ROOT, 'bpf')).filter((name) => name.endsWith('.bpf.c'));
/** Where Debian keeps asm/*.h. */
const MULTIARCH = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };
const folder = mkdtempSync(join(tmpdir(), 'tailgov-portable-'));

afterAll(() => rmSync(folder, { recursive: true }));

/** As deploy/build.mjs compiles it, on a machine of that architecture. */
function compiled(source: string, architecture: string): Buffer {
  const object = join(folder, `${source}.${architecture}.o`);
  const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', `-D__TARGET_ARCH_${architecture}`, '-I', 'bpf'];
  // The types there are the same in both; only their directory has another name.
  const headers = join('/usr/include', MULTIARCH[process.arch as keyof typeof MULTIARCH]);
  execFileSync('clang', [...flags, '-idirafter', headers, '-c', join('bpf', source), '-o', object], { cwd: ROOT });
  execFileSync('llvm-strip', ['-g', object]);
  return readFileSync(object);
}

describe.each(SOURCES)('%s', (source) => {
  it('is the same object for x86_64 and for arm64, of little-endian byte order', () => {
    const object = compiled(source, 'x86');
    expect(object.equals(compiled(source, 'arm64'))).toBe(true);
    const ELFDATA2LSB = 1;
    expect(object[5]).toBe(ELFDATA2LSB);
  });
});
