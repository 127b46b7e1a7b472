import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { GUEST_PACKAGES, KERNEL_METAPACKAGE, vmAvailable } from './available.mjs';

describe('vmAvailable()', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('is content where these tests run', () => {
    expect(vmAvailable()).toEqual({ ok: true });
  });

  it('names the tools that are missing', () => {
    vi.stubEnv('PATH', '/nonexistent');
    expect(vmAvailable().reason).toMatch(/^no apt-get, .*taskset on the PATH/);
  });

  it('says so where neither the cache nor apt has the packages', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tailgov-apt-'));
    try {
      const config = join(folder, 'apt.conf');
      await writeFile(config, `Dir::State::lists "${folder}"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";`);
      vi.stubEnv('TAILGOV_VM_CACHE', join(folder, 'cache'));
      vi.stubEnv('APT_CONFIG', config);
      const { ok, reason } = vmAvailable();
      expect(ok).toBe(false);
      const [, named] = /^apt offers no (.*): run apt-get update on a Debian$/.exec(reason!)!;
      // What the machine itself has installed apt knows without a list.
      const wanted = new Set([...GUEST_PACKAGES, KERNEL_METAPACKAGE]);
      expect(named!.split(', ').filter((name) => !wanted.has(name))).toEqual([]);
      expect(named).toContain(KERNEL_METAPACKAGE);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is content with what apt offers where the cache is empty', () => {
    vi.stubEnv('TAILGOV_VM_CACHE', '/nonexistent');
    expect(vmAvailable()).toEqual({ ok: true });
  });
});
