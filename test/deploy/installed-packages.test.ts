import { describe, expect, it } from 'vitest';
import { isInstalled } from '../../deploy/installed-packages.mjs';

const wanted = {
  '': { version: '0.1.0' },
  'node_modules/zod': { version: '4.6.7' },
  'node_modules/other-platform': { version: '1.0.0', optional: true },
};
const installed = { 'node_modules/zod': { version: '4.6.7' } };

describe('isInstalled()', () => {
  it('is content without optional packages', () => {
    expect(isInstalled(wanted, installed)).toBe(true);
    expect(isInstalled(wanted, { ...installed, 'node_modules/other-platform': { version: '1.0.0' } })).toBe(true);
  });

  it('notices a package that is missing, of another version, or not asked for', () => {
    expect(isInstalled(wanted, {})).toBe(false);
    expect(isInstalled(wanted, { 'node_modules/zod': { version: '4.6.6' } })).toBe(false);
    expect(isInstalled(wanted, { ...installed, 'node_modules/left-over': { version: '1.0.0' } })).toBe(false);
  });
});
