import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CgroupTree } from '../../src/sensor/cgroup-tree.ts';

const ID = '3f4e'.repeat(16);
let root: string;
let tree: CgroupTree;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tailgov-cgroups-'));
  add('');
  tree = new CgroupTree([join(root, 'absent'), root]);
});
afterEach(() => rmSync(root, { recursive: true }));

function add(path: string, ...pids: number[]): string {
  const directory = join(root, path);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'cgroup.procs'), pids.map((pid) => `${pid}\n`).join(''));
  return directory;
}

it('directoryOfUnit() finds a unit in a slice of a slice, with or without its suffix, and no other directory of that name', () => {
  add('docker/web.service', 1);
  expect(tree.directoryOfUnit('web')).toBeUndefined();
  add('shop.slice');
  const directory = add('shop.slice/shop-front.slice/web.service', 2);
  expect(tree.directoryOfUnit('web')).toBe(directory);
  expect(tree.directoryOfUnit('web.service')).toBe(directory);
  expect(tree.directoryOfUnit('we')).toBeUndefined();
});

it.each([`system.slice/docker-${ID}.scope`, `kubepods/pod1/${ID}`, `machine.slice/libpod-${ID}.scope/container`])(
  'directoryOfContainer() finds %s by the whole id and by twelve digits of it',
  (path) => {
    const directory = add(path).replace(/\/container$/, '');
    expect(tree.directoryOfContainer(ID)).toBe(directory);
    expect(tree.directoryOfContainer(ID.slice(0, 12))).toBe(directory);
    expect(tree.directoryOfContainer(ID.slice(1, 13))).toBeUndefined();
  },
);

it('directoryOfContainer() finds LXC by name', () => {
  expect(tree.directoryOfContainer('web')).toBeUndefined();
  const directory = add('lxc.payload.web');
  expect(tree.directoryOfContainer('web')).toBe(directory);
});

it('directoryOf() takes a path of either kind', () => {
  const directory = add('a/b');
  expect(tree.directoryOf('/a/b')).toBe(directory);
  expect(tree.directoryOf(directory)).toBe(directory);
  expect(tree.directoryOf('/a/c')).toBeUndefined();
});

it('processes() tells those of all levels', () => {
  const directory = add('a', 1, 2);
  add('a/b/c', 3);
  add('b', 4);
  expect(tree.processes(directory)).toEqual([1, 2, 3]);
  expect(tree.processes(join(root, 'absent'))).toEqual([]);
});
