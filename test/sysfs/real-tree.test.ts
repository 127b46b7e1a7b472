import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SysfsTree } from '../../src/core/sysfs-tree.ts';
import { realTree } from '../../src/sysfs/real-tree.ts';
import { mockDirectory } from './mock-directory.ts';
import { shippedMock } from './shipped-mock.ts';

const POLICY0 = 'devices/system/cpu/cpufreq/policy0';
const MAX = `${POLICY0}/scaling_max_freq`;

describe('realTree()', () => {
  let mock: ReturnType<typeof mockDirectory>;
  let tree: SysfsTree;
  beforeEach(() => {
    mock = mockDirectory(shippedMock('acpi-cpufreq-qemu-2c'));
    tree = realTree(mock.sysfs);
  });
  afterEach(() => {
    tree.close();
    mock.remove();
  });

  it('reads without the last newline and replaces the whole text, shorter or longer', () => {
    for (const text of ['3200000', '800000', '12000000', 'x', '3200000']) {
      expect(tree.write(MAX, text)).toEqual({ ok: true, value: undefined });
      expect(tree.read(MAX)).toEqual({ ok: true, value: text });
      expect(readFileSync(join(mock.sysfs, MAX), 'utf8')).toBe(`${text}\n`);
    }
  });

  it('sees what others write through its kept-open descriptor', () => {
    expect(tree.read(MAX)).toEqual({ ok: true, value: '3200000' });
    writeFileSync(join(mock.sysfs, MAX), '2000000\n');
    expect(tree.read(MAX)).toEqual({ ok: true, value: '2000000' });
  });

  it('leaves nothing of a longer text that somebody else wrote, once it has been read', () => {
    tree.write(MAX, '3200000');
    writeFileSync(join(mock.sysfs, MAX), 'something much longer\n');
    expect(tree.read(MAX)).toEqual({ ok: true, value: 'something much longer' });
    tree.write(MAX, '800000');
    expect(readFileSync(join(mock.sysfs, MAX), 'utf8')).toBe('800000\n');
  });

  it('never creates a file', () => {
    const path = `${POLICY0}/scaling_maximum`;
    expect(tree.write(path, '1')).toEqual({ ok: false, operation: 'write', path, errno: 'ENOENT' });
    expect(existsSync(join(mock.sysfs, path))).toBe(false);
  });

  it('refuses to write read-only files, as sysfs does even to root', () => {
    const path = `${POLICY0}/cpuinfo_max_freq`;
    expect(tree.write(path, '1')).toEqual({ ok: false, operation: 'write', path, errno: 'EACCES' });
  });

  it('answers with the errno for absent files and directories', () => {
    expect(tree.read('nosuch')).toMatchObject({ ok: false, errno: 'ENOENT' });
    expect(tree.read(POLICY0)).toMatchObject({ ok: false, errno: 'EISDIR' });
    expect(tree.list('nosuch')).toEqual({ ok: false, operation: 'list', path: 'nosuch', errno: 'ENOENT' });
    expect(realTree('/nosuch').read('x')).toMatchObject({ ok: false, errno: 'ENOENT' });
  });

  it('lists in natural order', () => {
    mkdirSync(join(mock.sysfs, 'devices/system/cpu/cpufreq/policy10'));
    const names = tree.list('devices/system/cpu/cpufreq');
    expect(names).toEqual({ ok: true, value: ['policy0', 'policy1', 'policy10'] });
  });

  it('reads files that are longer than a page', () => {
    const text = 'x'.repeat(10_000);
    writeFileSync(join(mock.sysfs, 'long'), text);
    expect(tree.read('long')).toEqual({ ok: true, value: text });
    expect(tree.read(MAX)).toEqual({ ok: true, value: '3200000' });
  });

  it('opens again what it has closed', () => {
    tree.read(MAX);
    tree.close();
    renameSync(join(mock.sysfs, MAX), join(mock.sysfs, 'moved'));
    expect(tree.read(MAX)).toMatchObject({ errno: 'ENOENT' });
    renameSync(join(mock.sysfs, 'moved'), join(mock.sysfs, MAX));
    expect(tree.read(MAX)).toEqual({ ok: true, value: '3200000' });
    rmSync(join(mock.sysfs, MAX));
  });

  it('reads the running kernel’s files', () => {
    const system = realTree();
    expect(system.root).toBe('/sys');
    expect(system.read('devices/system/cpu/online')).toMatchObject({ ok: true });
    expect(system.write('devices/system/cpu/online', '0')).toMatchObject({ ok: false });
    system.close();
  });
});
