import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { monotonicMs } from './modelled-core.ts';
import type { FromPart, LoadResult, ToLoad } from './part-messages.ts';
import { untilDisconnected } from './part.ts';

const CONNECTIONS = 64;
const WARM_UP_ROUNDS = 3;
/** From the order to run to the first instant of the schedule. */
const LEAD_MS = 50;
/** Replies that have not come this long after the last request was due will not come. */
const PATIENCE_MS = 10_000;

/**
 * Sends a message at each instant of a schedule. A thread of its own: Node's timers have a grain of a millisecond, a futex
 * wait is late by a tenth of one. It is text because a thread starts from a file, and the demo is bundled into one.
 */
const PACER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (const dueMs of workerData) {
    const waitMs = dueMs - Number(process.hrtime.bigint()) / 1e6;
    if (waitMs > 0) Atomics.wait(cell, 0, 0, waitMs);
    parentPort.postMessage(null);
  }
`;

/**
 * The demo's client, a process of its own: an open loop. Requests leave when they are due, whatever became of the ones
 * before; each has a connection to itself until its reply is complete, and where all are busy a new one is opened.
 */
export async function runLoadPart(send: (message: FromPart) => void): Promise<void> {
  const load = new OpenLoop();
  const onMessage = (message: ToLoad) => {
    if (message.kind === 'warm-up') {
      void load.warmUp(message.port, message.cycles).then(() => send({ kind: 'ready' }));
    } else {
      const startMs = monotonicMs() + LEAD_MS;
      send({ kind: 'started', atMs: startMs });
      void load.run(message.dueMs, message.cycles, startMs).then((result) => send({ kind: 'load-result', result }));
    }
  };
  process.on('message', onMessage);
  await untilDisconnected();
  process.off('message', onMessage);
  load.close();
}

class OpenLoop {
  /** The longest idle connection first: all of them stay in use. */
  readonly #free: Connection[] = [];
  readonly #all = new Set<Connection>();
  #port = 0;
  #pacer: Worker | undefined;

  /** Opens the connections, and has both sides compiled and their caches filled before anything is measured. */
  async warmUp(port: number, cycles: number): Promise<void> {
    this.#port = port;
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      const idle = round === 0 ? [] : this.#free.splice(0);
      const connections = Array.from({ length: CONNECTIONS }, (_, index) => idle[index] ?? this.#open());
      await Promise.all(
        connections.map(
          (connection) => new Promise<void>((resolve) => this.#request(connection, cycles, () => resolve())),
        ),
      );
    }
  }

  /** @param startMs CLOCK_MONOTONIC instant that the schedule counts from */
  run(dueMs: Float64Array, cycles: Float64Array, startMs: number): Promise<LoadResult> {
    const lateMs = new Float64Array(dueMs.length);
    const latencyMs = new Float64Array(dueMs.length).fill(Number.NaN);
    let sent = 0;
    let open = dueMs.length;
    let failures = 0;
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(patience);
        resolve({ lateMs, latencyMs, failures: failures + open, connections: this.#all.size });
      };
      const patience = setTimeout(finish, startMs - monotonicMs() + (dueMs.at(-1) ?? 0) + PATIENCE_MS).unref();
      if (open === 0) finish();
      const sendOne = () => {
        const index = sent++;
        const sentMs = monotonicMs();
        lateMs[index] = sentMs - startMs - dueMs[index]!;
        this.#request(this.#free.shift() ?? this.#open(), cycles[index]!, (ok) => {
          if (ok) latencyMs[index] = monotonicMs() - sentMs;
          else failures++;
          if (--open === 0) finish();
        });
      };
      this.#pacer = new Worker(PACER, { eval: true, workerData: dueMs.map((due) => startMs + due) });
      this.#pacer.on('message', sendOne);
    });
  }

  close(): void {
    void this.#pacer?.terminate();
    for (const connection of this.#all) connection.socket.destroy();
  }

  #open(): Connection {
    const connection = new Connection(this.#port);
    this.#all.add(connection);
    return connection;
  }

  #request(connection: Connection, cycles: number, done: (ok: boolean) => void): void {
    connection.request(cycles, (ok) => {
      if (ok) this.#free.push(connection);
      else this.#all.delete(connection);
      done(ok);
    });
  }
}

const END_OF_HEAD = '\r\n\r\n';

/** One keep-alive connection with at most one request under way. Plain HTTP/1.1 over a socket: cheaper than an agent. */
class Connection {
  readonly socket: Socket;
  #reply = '';
  #done: ((ok: boolean) => void) | null = null;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => this.#receive(text));
    this.socket.on('error', () => this.#finish(false));
    this.socket.on('close', () => this.#finish(false));
  }

  request(cycles: number, done: (ok: boolean) => void): void {
    this.#reply = '';
    this.#done = done;
    this.socket.write(`GET /work?cycles=${cycles} HTTP/1.1\r\nHost: demo\r\n\r\n`, 'latin1');
  }

  #receive(text: string): void {
    this.#reply += text;
    const headEnd = this.#reply.indexOf(END_OF_HEAD);
    if (headEnd === -1) return;
    const bodyLength = Number(/\r\ncontent-length: *(\d+)/i.exec(this.#reply)?.[1] ?? 0);
    if (this.#reply.length >= headEnd + END_OF_HEAD.length + bodyLength) {
      this.#finish(this.#reply.startsWith('HTTP/1.1 200 '));
    }
  }

  #finish(ok: boolean): void {
    const done = this.#done;
    this.#done = null;
    done?.(ok);
  }
}
