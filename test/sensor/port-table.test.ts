import { expect, it } from 'vitest';
import { PORT_BY_NAMESPACE, PORTS } from '../../src/sensor/layout.ts';
import { ownNetns, PortTable } from '../../src/sensor/port-table.ts';

const OTHER = 12;
const textOf = (bytes: Uint8Array) => new Uint32Array(bytes.slice().buffer).join(':');

class FakeMap extends Map<string, string> {
  readonly maxEntries = 3;
  update(key: Uint8Array, value: Uint8Array): void {
    this.set(textOf(key), textOf(value));
  }
  override delete(key: Uint8Array | string): boolean {
    return super.delete(typeof key === 'string' ? key : textOf(key));
  }
}

function opened(...plainPorts: (readonly number[] | undefined)[]) {
  const bytes = new Uint8Array(PORTS);
  const map = new FakeMap();
  return { bytes, map, table: new PortTable(bytes, map, plainPorts) };
}

it('plain ports are bytes alone', () => {
  const { bytes, map } = opened([80, 443], [81]);
  expect([bytes[80], bytes[443], bytes[81], bytes[82]]).toEqual([1, 1, 2, 0]);
  expect(map.size).toBe(0);
});

it('a plain port that another target has in another namespace is looked up by namespace, and is a byte again after it', () => {
  const { bytes, map, table } = opened([80], undefined);
  table.follow([[], [{ netns: OTHER, port: 80 }]]);
  expect(bytes[80]).toBe(PORT_BY_NAMESPACE);
  expect([...map]).toEqual([
    [`${ownNetns()}:80`, '1'],
    [`${OTHER}:80`, '2'],
  ]);
  table.follow([[], []]);
  expect(bytes[80]).toBe(1);
  expect(map.size).toBe(0);
});

it('follows a server to another port', () => {
  const { bytes, map, table } = opened(undefined);
  table.follow([[{ netns: OTHER, port: 80 }]]);
  table.follow([[{ netns: OTHER, port: 81 }]]);
  expect([bytes[80], bytes[81]]).toEqual([0, PORT_BY_NAMESPACE]);
  expect([...map.keys()]).toEqual([`${OTHER}:81`]);
});

it('gives what two targets claim to the first one, and tells what does not fit', () => {
  const { map, table } = opened(undefined, undefined);
  const listener = (port: number) => ({ netns: OTHER, port });
  expect(table.follow([[1, 2].map(listener), [2, 3, 4].map(listener)])).toMatchObject([listener(4)]);
  expect([...map.values()]).toEqual(['1', '1', '2']);
});
