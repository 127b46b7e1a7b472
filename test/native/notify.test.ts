import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { bind } from '../../src/native/ffi.ts';
import { NativeError } from '../../src/native/native-error.ts';
import { notify } from '../../src/native/notify.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

const libc = bind(koffi.load('libc.so.6'), {
  socket: ['int', 'int', 'int', 'int'],
  bind: ['int', 'int', 'void *', 'uint32_t'],
  recv: ['int64_t', 'int', 'void *', 'size_t', 'int'],
  close: ['int', 'int'],
});

const directory = mkdtempSync(join(tmpdir(), 'notify-'));
const sockets: { close(): void }[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});
afterAll(() => rmSync(directory, { recursive: true }));

/** @param name a path, or `\0` and an abstract name */
function listen(name: string): { receive(): string | null } {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
  const address = Buffer.concat([new Uint8Array(new Uint16Array([AF_UNIX]).buffer), Buffer.from(name)]);
  expect(libc.bind(fd, address, address.length)).toBe(0);
  const buffer = Buffer.alloc(4096);
  const receive = () => {
    const length = libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT);
    return length < 0 ? null : buffer.toString('utf8', 0, length);
  };
  const socket = { receive, close: () => void libc.close(fd) };
  sockets.push(socket);
  return socket;
}

const abstractName = () => `tailgov-test-${process.pid}-${sockets.length}`;

describe('notify()', () => {
  it('sends one datagram to a socket with a path', () => {
    const path = join(directory, 'a.sock');
    const socket = listen(path);
    notify(path, 'READY=1\nSTATUS=p99 1.2 ms ≤ 5 ms');
    notify(path, 'WATCHDOG=1');
    expect(socket.receive()).toBe('READY=1\nSTATUS=p99 1.2 ms ≤ 5 ms');
    expect(socket.receive()).toBe('WATCHDOG=1');
    expect(socket.receive()).toBeNull();
  });

  it('sends to an abstract address, which is exactly as long as its name', () => {
    const name = abstractName();
    const socket = listen(`\0${name}`);
    notify(`@${name}`, 'STOPPING=1');
    expect(socket.receive()).toBe('STOPPING=1');
  });

  it('says when nobody listens', () => {
    const missing = join(directory, 'missing.sock');
    expect(() => notify(missing, 'x')).toThrow(`send a datagram to ${missing}: ENOENT`);
    expect(() => notify('@tailgov-test-nobody', 'x')).toThrow('send a datagram to @tailgov-test-nobody: ECONNREFUSED');
    const left = join(directory, 'left.sock');
    listen(left);
    sockets.pop()!.close();
    expect(() => notify(left, 'x')).toThrow('ECONNREFUSED');
  });

  it('refuses an address that is longer than addresses can be', () => {
    const longest = 'a'.repeat(107);
    expect(() => notify(`@${longest}`, 'x')).toThrow('ECONNREFUSED');
    expect(() => notify(`@${longest}a`, 'x')).toThrow('ENAMETOOLONG (name too long): at most 107 bytes fit');
    expect(() => notify(`/${longest}`, 'x')).toThrow('ENAMETOOLONG');
  });

  it('does not wait when nobody reads', () => {
    const name = abstractName();
    listen(`\0${name}`);
    const fill = () => {
      for (let sent = 0; sent < 100_000; sent++) notify(`@${name}`, 'x');
    };
    expect(fill).toThrow(NativeError);
    expect(fill).toThrow('EAGAIN');
  });

  it('leaves no descriptor behind', () => {
    const name = abstractName();
    const socket = listen(`\0${name}`);
    const count = () => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let index = 0; index < 20; index++) {
      notify(`@${name}`, 'x');
      socket.receive();
      expect(() => notify('@tailgov-test-nobody', 'x')).toThrow();
    }
    expect(count()).toBe(before);
  });
});
