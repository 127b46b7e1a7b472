import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A TCP client that says when which bytes leave, and waits for a known number of them. */
export class RawClient {
  readonly socket: Socket;
  #received = 0;
  #ended = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      this.#received += bytes.length;
      this.#wake();
    });
    // A reset by the server ends the connection as its close does: whoever waits for bytes is told so.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#end());
    socket.on('end', () => this.#end());
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<RawClient> {
    const socket = connect({ port, host, allowHalfOpen: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Hands the bytes over in one write. */
  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Hands over many bytes, no faster than they are taken. */
  async sendZeros(bytes: number): Promise<void> {
    const chunk = new Uint8Array(1 << 20);
    for (let left = bytes; left > 0; left -= chunk.length) {
      if (!this.socket.write(chunk.subarray(0, left))) await once(this.socket, 'drain');
    }
  }

  /** Waits until `bytes` more have come. @throws Error when the server ends the connection before */
  async receive(bytes: number): Promise<void> {
    while (this.#received < bytes) {
      if (this.#ended) throw new Error(`the server closed after ${this.#received} of ${bytes} bytes`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    this.#received -= bytes;
  }

  async exchange(request: string, replyBytes: number): Promise<void> {
    this.send(request);
    await this.receive(replyBytes);
  }

  /** Waits until the server has closed its side. */
  async ended(): Promise<void> {
    while (!this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** Closes the sending side: the server may still answer. */
  finishSending(): void {
    this.socket.end();
  }

  async close(): Promise<void> {
    if (this.socket.destroyed) return;
    this.socket.destroy();
    await once(this.socket, 'close');
  }

  async reset(): Promise<void> {
    this.socket.resetAndDestroy();
    await once(this.socket, 'close');
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }
}

/** `total` exchanges over all the clients, one at a time for each. */
export async function exchanges(
  over: readonly RawClient[],
  total: number,
  text: string,
  replyBytes: number,
): Promise<void> {
  let left = total;
  await Promise.all(
    over.map(async (client) => {
      while (left-- > 0) await client.exchange(text, replyBytes);
    }),
  );
}
