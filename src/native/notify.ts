import { constants } from 'node:os';
import { Descriptor } from './descriptor.ts';
import { checked, libc } from './libc.ts';
import { NativeError } from './native-error.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Of sockaddr_un.sun_path. */
const PATH_BYTES = 108;

/**
 * Sends one datagram to a Unix socket, without blocking: what sd_notify(3) does with the address in $NOTIFY_SOCKET.
 * @param address a path, or an abstract address written with a leading `@`
 * @throws NativeError ENOENT or ECONNREFUSED when nobody listens there, EAGAIN when the listener's queue is full
 */
export function notify(address: string, message: string): void {
  const operation = `send a datagram to ${address}`;
  const socketAddress = unixAddress(operation, address);
  const socket = new Descriptor('socket', checked(operation, libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
  try {
    const bytes = Buffer.from(message);
    const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    checked(operation, libc().sendto(socket.fd, bytes, bytes.length, flags, socketAddress, socketAddress.length));
  } finally {
    socket.close();
  }
}

/** struct sockaddr_un; an abstract name begins with a NUL and ends with the address, a path ends with a NUL. */
function unixAddress(operation: string, address: string): Uint8Array {
  const abstract = address.startsWith('@');
  const path = Buffer.from(abstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (path.length > PATH_BYTES) {
    throw new NativeError(operation, constants.errno.ENAMETOOLONG, { detail: `at most ${PATH_BYTES - 1} bytes fit` });
  }
  const family = new Uint8Array(new Uint16Array([AF_UNIX]).buffer);
  return Buffer.concat([family, path]);
}
