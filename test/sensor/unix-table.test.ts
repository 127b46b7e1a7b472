import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnixTable } from '../../src/sensor/unix-table.ts';

let directory: string;
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'tailgov-unix-table-'))));
afterEach(() => rmSync(directory, { recursive: true }));

const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function fakeMap() {
  const entries = new Map<string, string>();
  return {
    entries,
    update: (key: Uint8Array, value: Uint8Array) => void entries.set(textOf(key), textOf(value)),
    delete: (key: Uint8Array) => entries.delete(textOf(key)),
  };
}

async function listen(path: string): Promise<() => Promise<unknown>> {
  const server = createServer().listen(path);
  await once(server, 'listening');
  return () => once(server.close(), 'close');
}

describe('UnixTable', () => {
  it('has a socket while its file is there, and the next one of that path', async () => {
    const [map, path] = [fakeMap(), join(directory, 's.sock')];
    const table = new UnixTable(map, [undefined, path]);
    expect(table.follow()).toEqual([false, false]);
    let stop = await listen(path);
    expect(table.follow()).toEqual([false, true]);
    const first = [...map.entries];
    expect(first).toEqual([[expect.stringMatching(/^[0-9a-f]{32}$/), '02000000']]);
    expect(table.follow()).toEqual([false, true]);
    expect([...map.entries]).toEqual(first);

    await stop();
    expect(table.follow()).toEqual([false, false]);
    expect(map.entries.size).toBe(0);
    stop = await listen(path);
    expect(table.follow()).toEqual([false, true]);
    expect([...map.entries.values()]).toEqual(['02000000']);
    await stop();
  });

  it('tells sockets apart', async () => {
    const map = fakeMap();
    const paths = ['a', 'b', 'c'].map((name) => join(directory, name));
    const stops = await Promise.all(paths.map(listen));
    expect(new UnixTable(map, paths).follow()).toEqual([true, true, true]);
    expect([...map.entries.values()]).toEqual(['01000000', '02000000', '03000000']);
    await Promise.all(stops.map((stop) => stop()));
  });

  it('takes no other file for a socket', () => {
    const [map, path] = [fakeMap(), join(directory, 'file')];
    writeFileSync(path, '');
    expect(new UnixTable(map, [path, directory, join(path, 'below')]).follow()).toEqual([false, false, false]);
    expect(map.entries.size).toBe(0);
  });
});
