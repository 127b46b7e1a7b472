import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { until } from './daemon.ts';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-pipe',
];

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** A headless Chromium with one page, spoken to through its DevTools protocol over a pipe. */
export class Chromium {
  /** What the page complained of: exceptions, refused resources, errors in its console. */
  readonly complaints: string[] = [];
  /** What it fetched. */
  readonly fetched: string[] = [];
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #nextId = 1;
  #session: string | undefined;
  #received = '';

  private constructor(process: ChildProcess, folder: string) {
    this.#process = process;
    this.#folder = folder;
    (process.stdio[4] as Readable).on('data', (chunk: Buffer) => this.#receive(chunk.toString()));
  }

  static async start(): Promise<Chromium> {
    const folder = mkdtempSync(join(tmpdir(), 'tailgov-chromium-'));
    const child = spawn('chromium', [...FLAGS, `--user-data-dir=${folder}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      // It has many processes, which end together.
      detached: true,
    });
    const chromium = new Chromium(child, folder);
    const { targetId } = await chromium.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await chromium.send('Target.attachToTarget', { targetId, flatten: true });
    chromium.#session = sessionId as string;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await chromium.send(`${domain}.enable`);
    return chromium;
  }

  async open(url: string): Promise<void> {
    await this.send('Page.navigate', { url });
  }

  async look(options: { dark: boolean; width?: number; height?: number }): Promise<void> {
    const { dark, width = 1400, height = 1800 } = options;
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
    await this.send('Emulation.setEmulatedMedia', { features });
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
  }

  /** The value of an expression in the page. @throws Error with what the page threw */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    const { result, exceptionDetails } = answer as {
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string } };
    };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
    return result.value;
  }

  async until(expression: string, limitMs = 30_000): Promise<void> {
    await until(`in the page ${expression}`, () => this.evaluate<boolean>(`Boolean(${expression})`), limitMs);
  }

  /** A PNG. */
  async screenshot(): Promise<Uint8Array> {
    const { data } = await this.send('Page.captureScreenshot', {});
    return Buffer.from(data as string, 'base64');
  }

  async close(): Promise<void> {
    const exited = once(this.#process, 'exit');
    process.kill(-this.#process.pid!, 'SIGKILL');
    await exited;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  send(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      const message = { id, method, params, ...(this.#session === undefined ? {} : { sessionId: this.#session }) };
      (this.#process.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    });
  }

  /** Messages end with a zero byte. */
  #receive(text: string): void {
    const parts = (this.#received + text).split('\0');
    this.#received = parts.pop()!;
    for (const part of parts) this.#handle(JSON.parse(part) as Answer);
  }

  #handle({ id, method, params, ...answer }: Answer): void {
    if (id !== undefined) {
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    } else if (method === 'Network.requestWillBeSent') {
      this.fetched.push((params as { request: { url: string } }).request.url);
    } else if (method === 'Runtime.exceptionThrown') {
      this.complaints.push(JSON.stringify(params!['exceptionDetails']));
    } else if (method === 'Log.entryAdded') {
      const { level, text } = (params as { entry: { level: string; text: string } }).entry;
      if (level === 'error') this.complaints.push(text);
    }
  }
}
