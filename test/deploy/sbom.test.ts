import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sbom } from '../../deploy/sbom.mjs';

const ROOT = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');

interface LockedPackage {
  readonly version: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}
const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, LockedPackage> };
const locked = Object.entries(packages).filter(([path]) => path !== '');

describe('the dependencies', () => {
  it('have exact versions, and a hash each', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const wanted = Object.values({ ...dependencies, ...devDependencies });
    expect(wanted.filter((version) => !/^(npm:@?[\w/-]+@)?\d+\.\d+\.\d+$/.test(version))).toEqual([]);
    expect(locked.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([]);
  });

  it('have two install scripts among them, and neither is run by our set-up', () => {
    const scripts = locked.filter(([, { hasInstallScript }]) => hasInstallScript === true);
    expect(scripts.map(([path, { dev }]) => `${path}${dev === true ? ' (development)' : ''}`)).toEqual([
      'node_modules/esbuild (development)',
      'node_modules/koffi',
    ]);
    expect(read('deploy/setup.mjs')).toMatch(/'ci'[^;]*'--ignore-scripts'/);
  });
});

describe('sbom()', () => {
  const bom = JSON.parse(sbom(ROOT)) as {
    components: { name: string; version: string; purl: string; hashes: { alg: string; content: string }[] }[];
  };

  it('names all that is there at run time, and nothing of development', () => {
    const names = bom.components.map(({ name, version }) => `${name} ${version}`);
    expect(names).toContain(`koffi ${packages['node_modules/koffi']!.version}`);
    expect(names).toContain(`mathjs ${packages['node_modules/mathjs']!.version}`);
    expect(names.filter((name) => name.startsWith('vitest '))).toEqual([]);
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    for (const [name, version] of Object.entries(dependencies)) expect(names).toContain(`${name} ${version}`);
  });

  it('tells each by its package URL and the hash of the lockfile', () => {
    const zod = bom.components.find(({ name }) => name === 'zod')!;
    expect(zod.purl).toBe(`pkg:npm/zod@${zod.version}`);
    expect(zod.hashes).toEqual([{ alg: 'SHA-512', content: expect.stringMatching(/^[0-9a-f]{128}$/) as string }]);
    expect(bom.components.find(({ name }) => name.startsWith('@'))!.purl).toMatch(/^pkg:npm\/%40/);
  });

  it('is the same for the same lockfile', () => {
    expect(sbom(ROOT)).toBe(sbom(ROOT));
  });
});
