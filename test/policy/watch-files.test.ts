import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileWatch } from '../../src/policy/watch-files.ts';
import { scratchFiles } from './scratch-files.ts';

const scratch = scratchFiles();
const PATIENCE_MS = 10_000;

let directory: string;
let watch: FileWatch;
let changes: number;
let count = 0;

beforeEach(() => {
  directory = join(scratch.directory, `case-${count++}`);
  mkdirSync(directory);
  changes = 0;
});

afterEach(() => {
  watch.close();
});

/** @param pollMs so long that a test that waits for events does not live on polls */
function start(files: ReadonlyMap<string, string | null>, pollMs = 60_000): void {
  watch = new FileWatch({ settleMs: 20, pollMs, onChange: () => changes++ });
  watch.watch(files);
}

async function untilChanges(expected: number): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (changes < expected && Date.now() < deadline) await sleep(5);
  expect(changes).toBe(expected);
}

describe('FileWatch', () => {
  it('tells of a file that is edited in place, and of one that another is renamed over', async () => {
    const file = join(directory, 'a.yaml');
    writeFileSync(file, 'one');
    start(new Map([[file, 'one']]));
    writeFileSync(file, 'two');
    await untilChanges(1);
    writeFileSync(join(directory, 'b'), 'three');
    renameSync(join(directory, 'b'), file);
    await untilChanges(2);
    writeFileSync(file, 'four');
    await untilChanges(3);
  });

  it('tells of every switch of a link in the middle of the path, as a ConfigMap has it', async () => {
    const publish = (version: number) => {
      mkdirSync(join(directory, `..${version}`));
      writeFileSync(join(directory, `..${version}`, 'a.yaml'), `version ${version}`);
      symlinkSync(`..${version}`, join(directory, '..tmp'));
      renameSync(join(directory, '..tmp'), join(directory, '..data'));
      if (version > 0) rmSync(join(directory, `..${version - 1}`), { recursive: true });
    };
    publish(0);
    symlinkSync('..data/a.yaml', join(directory, 'a.yaml'));
    start(new Map([[join(directory, 'a.yaml'), 'version 0']]));
    for (let version = 1; version <= 4; version++) {
      publish(version);
      await untilChanges(version);
    }
  });

  it('tells of a file behind a link into another directory', async () => {
    mkdirSync(join(directory, 'real'));
    writeFileSync(join(directory, 'real/a.yaml'), 'one');
    mkdirSync(join(directory, 'names'));
    symlinkSync('../real/a.yaml', join(directory, 'names/a.yaml'));
    start(new Map([[join(directory, 'names/a.yaml'), 'one']]));
    writeFileSync(join(directory, 'real/a.yaml'), 'two');
    await untilChanges(1);
  });

  it('tells of what has changed before it began to watch', async () => {
    const file = join(directory, 'a.yaml');
    writeFileSync(file, 'newer');
    start(new Map([[file, 'as it was read']]));
    await untilChanges(1);
  });

  it('tells of a file that goes and of one that comes, with its directory', async () => {
    const file = join(directory, 'sub/a.yaml');
    mkdirSync(join(directory, 'sub'));
    writeFileSync(file, 'one');
    start(new Map([[file, 'one']]), 50);
    rmSync(join(directory, 'sub'), { recursive: true });
    await untilChanges(1);
    mkdirSync(join(directory, 'sub'));
    writeFileSync(file, 'two');
    await untilChanges(2);
    // The directory is another one of the same name, and watched again.
    writeFileSync(file, 'three');
    await untilChanges(3);
  });

  it('finds by its poll what no event tells of', async () => {
    const file = join(directory, 'a.yaml');
    start(new Map([[file, null]]), 20);
    writeFileSync(file, 'one');
    await untilChanges(1);
  });

  it('is silent while contents stay, whatever is written', async () => {
    const file = join(directory, 'a.yaml');
    writeFileSync(file, 'one');
    start(new Map([[file, 'one']]), 20);
    for (let write = 0; write < 5; write++) {
      writeFileSync(file, 'one');
      writeFileSync(join(directory, 'other'), String(write));
      await sleep(30);
    }
    expect(changes).toBe(0);
  });

  it('holds one descriptor a directory, and none when it is closed', async () => {
    const inotify = () => readdirSync('/proc/self/fd').length;
    const before = inotify();
    const files = Array.from({ length: 20 }, (_, index) => join(directory, `${index}.yaml`));
    for (const file of files) writeFileSync(file, 'x');
    start(new Map(files.map((file) => [file, 'x'])));
    expect(watch.directories).toBe(1);
    for (let round = 0; round < 50; round++) watch.watch(new Map([[files[round % 20]!, 'x']]));
    expect(inotify()).toBeLessThanOrEqual(before + 1);
    watch.close();
    expect(watch.directories).toBe(0);
    await sleep(20);
  });
});
