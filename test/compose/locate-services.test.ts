import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { locateServices } from '../../src/compose/locate-services.ts';
import { CgroupTree } from '../../src/sensor/cgroup-tree.ts';

let root: string;
let cgroups: CgroupTree;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tailgov-locate-'));
  add('.');
  cgroups = new CgroupTree([root]);
});
afterEach(() => rmSync(root, { recursive: true }));

function add(path: string, ...pids: number[]): void {
  mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, path, 'cgroup.procs'), pids.map((pid) => `${pid}\n`).join(''));
}

const placeOf = (target: Parameters<typeof locateServices>[0][number]['target']) =>
  locateServices([{ name: 'web', target }], new Map(), cgroups).get('web');

describe('locateServices()', () => {
  it.each([
    ['nginx', 'nginx.service'],
    ['nginx.service', 'nginx.service'],
    ['wg-quick@eth0.100', 'wg-quick@eth0.100.service'],
    ['session-3.scope', 'session-3.scope'],
  ])('calls the unit %s as systemd does, %s, and finds its processes', (given, unit) => {
    add(`system.slice/${unit}`, 41, 40);
    expect(placeOf({ unit: given })).toEqual({ unit, pids: [40, 41] });
  });

  it('finds the processes of a cgroup with those below it, and says where it is', () => {
    add('batch/web', 7);
    add('batch/web/worker', 8);
    expect(placeOf({ cgroup: '/batch/web' })).toEqual({ cgroup: '/batch/web', pids: [7, 8] });
    expect(placeOf({ cgroup: '/batch/db' })).toEqual({ pids: [] });
  });

  it('adds those that were seen at work, while they run', () => {
    add('batch/web', 1);
    const readers = new Map([['web', [process.pid, 2 ** 30]]]);
    const found = locateServices([{ name: 'web', target: { cgroup: '/batch/web' } }], readers, cgroups);
    expect(found.get('web')?.pids).toEqual([1, process.pid]);
  });
});
