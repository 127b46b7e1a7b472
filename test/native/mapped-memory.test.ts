import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MappedMemory } from '../../src/native/mapped-memory.ts';
import { NativeError } from '../../src/native/native-error.ts';

const LENGTH = 10_000;
const file = join(tmpdir(), `mapped-memory-${process.pid}`);
let fd = -1;

beforeEach(() => {
  writeFileSync(file, new Uint8Array(LENGTH).fill(7));
  fd = openSync(file, 'r+');
});
afterEach(() => {
  closeSync(fd);
  rmSync(file);
});

const map = (options: { writable?: boolean; onClose?: () => void } = {}) =>
  new MappedMemory(fd, { what: 'the file', length: LENGTH, writable: false, ...options });

/** Where the file is mapped, as /proc/self/maps has it. */
const mappingsOfFile = () =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.endsWith(file))
    .map((line) => BigInt(`0x${line.slice(0, line.indexOf('-'))}`));

const isMapped = (address: bigint) =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .some((line) => {
      const range = /^([0-9a-f]+)-([0-9a-f]+)/.exec(line);
      return range !== null && BigInt(`0x${range[1]}`) <= address && address < BigInt(`0x${range[2]}`);
    });

async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  // Finalizers run as tasks of their own.
  await new Promise((resolve) => setTimeout(resolve, 0));
}

describe('MappedMemory', () => {
  it('shares its memory both ways', () => {
    const memory = map({ writable: true });
    const bytes = new Uint8Array(memory.buffer);
    expect(bytes.length).toBe(LENGTH);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
    bytes[3] = 9;
    expect(readFileSync(file)[3]).toBe(9);
    expect(memory.buffer).toBe(bytes.buffer);
    memory.close();
  });

  it('leaves a stale view harmless: it reads zeros and its writes go nowhere', () => {
    for (const writable of [false, true]) {
      const memory = map({ writable });
      const bytes = new Uint8Array(memory.buffer);
      memory.close();
      expect(mappingsOfFile()).toEqual([]);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      bytes.fill(1);
      expect(readFileSync(file).every((byte) => byte === 7)).toBe(true);
    }
  });

  it('gives its addresses back when no view is left', async () => {
    const address = (() => {
      const memory = map();
      expect(new Uint8Array(memory.buffer)[LENGTH - 1]).toBe(7);
      const [mappedAt] = mappingsOfFile();
      memory.close();
      return mappedAt!;
    })();
    expect(isMapped(address)).toBe(true);
    for (let round = 0; round < 50 && isMapped(address); round++) await collectGarbage();
    expect(isMapped(address)).toBe(false);
  });

  it('gives its addresses back at once when nobody asked for a view', () => {
    const memory = map();
    const [address] = mappingsOfFile();
    memory.close();
    expect(isMapped(address!)).toBe(false);
  });

  it('closes once and cannot be used afterwards', () => {
    let closed = 0;
    const memory = map({ onClose: () => closed++ });
    memory.close();
    memory.close();
    expect(closed).toBe(1);
    expect(() => memory.buffer).toThrow('memory of the file is closed');
  });

  it('says why the kernel refuses', () => {
    const readOnly = openSync(file, 'r');
    const options = { what: 'the file', length: LENGTH, writable: true };
    expect(() => new MappedMemory(readOnly, options)).toThrow('mmap the file: EACCES');
    closeSync(readOnly);
    expect(() => new MappedMemory(readOnly, options)).toThrow(NativeError);
  });
});
