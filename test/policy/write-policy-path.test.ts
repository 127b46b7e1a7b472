import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withPolicyPath, writePolicyPath } from '../../src/policy/write-policy-path.ts';
import { scratchFiles } from './scratch-files.ts';

const files = scratchFiles();
const TEXT = `# mine
services:
  - name:   web     # first
    policy:    "old.yaml"   # tuned in May
    slo: { latency: 5ms }
  - { name: db, policy: db.yaml, slo: { latency: 1ms } }
`;

describe('withPolicyPath()', () => {
  it('exchanges one value and nothing else', () => {
    expect(withPolicyPath(TEXT, 'web', 'new.yaml')).toBe(TEXT.replace('"old.yaml"', 'new.yaml'));
    expect(withPolicyPath(TEXT, 'db', '/etc/x y.yaml')).toBe(
      TEXT.replace('policy: db.yaml', 'policy: "/etc/x y.yaml"'),
    );
  });

  it.each([
    ['an unknown service', TEXT, 'cache'],
    ['no services', 'onExit: max\n', 'web'],
    ['a service without a policy', 'services: [{ name: web }]\n', 'web'],
  ])('refuses %s', (_, text, service) => {
    expect(() => withPolicyPath(text, service, 'new.yaml')).toThrow('no such key');
  });
});

describe('writePolicyPath()', () => {
  it('writes a path that is relative to the config where it lies below it, and keeps mode and link', () => {
    mkdirSync(join(files.directory, 'real'));
    const real = files.write('real/config.yaml', TEXT);
    chmodSync(real, 0o640);
    const link = join(files.directory, 'config.yaml');
    symlinkSync('real/config.yaml', link);
    writePolicyPath(link, 'web', join(files.directory, 'policies/new.yaml'));
    expect(readFileSync(link, 'utf8')).toContain('policy:    policies/new.yaml   # tuned in May');
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(statSync(real).mode & 0o777).toBe(0o640);
    writePolicyPath(link, 'web', '/srv/new.yaml');
    expect(readFileSync(link, 'utf8')).toContain('policy:    /srv/new.yaml   #');
    expect(readdirSync(join(files.directory, 'real'))).toEqual(['config.yaml']);
  });
});
