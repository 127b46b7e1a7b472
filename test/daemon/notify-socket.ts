import koffi from 'koffi';
import { bind } from '../../src/native/ffi.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

const libc = bind(koffi.load('libc.so.6'), {
  socket: ['int', 'int', 'int', 'int'],
  bind: ['int', 'int', 'void *', 'uint32_t'],
  recv: ['int64_t', 'int', 'void *', 'size_t', 'int'],
  close: ['int', 'int'],
});

/** Plays the service manager's end of $NOTIFY_SOCKET. */
export class NotifySocket {
  /** As it stands in $NOTIFY_SOCKET: an abstract address, which leaves no file behind. */
  readonly address: string;
  readonly #fd: number;
  static #count = 0;

  constructor() {
    this.address = `@tailgov-manager-${process.pid}-${NotifySocket.#count++}`;
    this.#fd = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
    const name = Buffer.from(`\0${this.address.slice(1)}`);
    const sockaddr = Buffer.concat([new Uint8Array(new Uint16Array([AF_UNIX]).buffer), name]);
    if (libc.bind(this.#fd, sockaddr, sockaddr.length) !== 0) throw new Error(`bind ${this.address}`);
  }

  /** Every datagram that has come since the last call: a list of assignments each. */
  receive(): string[][] {
    const buffer = Buffer.alloc(4096);
    const datagrams: string[][] = [];
    for (;;) {
      const length = Number(libc.recv(this.#fd, buffer, buffer.length, MSG_DONTWAIT));
      if (length < 0) return datagrams;
      datagrams.push(buffer.toString('utf8', 0, length).split('\n'));
    }
  }

  close(): void {
    libc.close(this.#fd);
  }
}
