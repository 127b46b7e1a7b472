import { connect, type NetConnectOpts, type Socket } from 'node:net';

/** A client that says exactly what a test wants, and hears all that comes until the end. */
export function rawHttp(where: NetConnectOpts, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(where, () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // A server that closes while we are still sending.
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
  });
}

/** Opens a connection that says `text` and no more, and takes nothing. Resolves when it is open. */
export function mute(where: NetConnectOpts, text = ''): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(where, () => {
      socket.write(text);
      resolve(socket);
    });
    socket.once('error', reject);
    socket.pause();
  });
}

export const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) return resolve();
    socket.on('error', () => undefined);
    socket.resume();
    socket.on('close', () => resolve());
  });
