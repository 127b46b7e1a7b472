import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { FromPart, ToLoad } from './part-messages.ts';

const KEPT_OUTPUT = 2000;
const STOP_LIMIT_MS = 5000;
/** They play machines of their own: what else runs here is not to be a part of the experiment. */
export const PREFERRED_NICENESS = -10;
const LAST_WORDS_MS = 200;

/**
 * A child process of the demo. In a session of its own, so that Ctrl-C reaches the demo alone, which then ends its parts in
 * order. A part with a channel also ends by itself when that closes, and so does not outlive a demo that was killed.
 */
export class Part {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  /** Should the demo end without stopping its parts, as after an error that nobody caught. */
  readonly #onExit = () => this.#child.kill('SIGTERM');
  #output = '';
  #stopping = false;

  /** @param args what this program's own executable is started with, such as `demo part load` */
  constructor(
    name: string,
    args: readonly string[],
    options: { readonly channel: boolean; readonly onUnexpectedEnd: (error: Error) => void },
  ) {
    this.name = name;
    // The same program, however it was started: bundled, or from source through a loader.
    this.#child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', ...(options.channel ? (['ipc'] as const) : [])],
      serialization: 'advanced',
      detached: true,
    });
    const keep = (text: string) => (this.#output = (this.#output + text).slice(-KEPT_OUTPUT));
    this.#child.stdout?.setEncoding('utf8').on('data', keep);
    this.#child.stderr?.setEncoding('utf8').on('data', keep);
    process.once('exit', this.#onExit);
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        options.onUnexpectedEnd(new Error(`starting ${name} failed: ${error.message}`));
        resolve();
      });
      this.#child.once('exit', (code, signal) => {
        resolve();
        if (this.#stopping) return;
        // Not 'close': it never comes where a grandchild holds the pipes. Its last words get a moment to arrive.
        setTimeout(
          () => options.onUnexpectedEnd(new Error(endMessage(name, code, signal, this.#output))),
          LAST_WORDS_MS,
        );
      });
    });
  }

  /** Puts it before other processes of the machine. @returns false where the system does not let us */
  prefer(): boolean {
    const { pid } = this.#child;
    // A child that could not be started has no pid; that is reported by its error.
    if (pid === undefined) return false;
    try {
      setPriority(pid, PREFERRED_NICENESS);
      // Where the kernel groups by session, niceness counts inside it alone, and the group has one of its own (sched(7)).
      const autogroup = `/proc/${pid}/autogroup`;
      if (existsSync(autogroup)) writeFileSync(autogroup, String(PREFERRED_NICENESS));
      return true;
    } catch {
      // Without CAP_SYS_NICE the figures are more easily disturbed: the report says which it was.
      return false;
    }
  }

  /** The end of what it wrote to stdout and stderr. */
  get output(): string {
    return this.#output;
  }

  onMessage(listener: (message: FromPart) => void): void {
    this.#child.on('message', listener);
  }

  /** The next message of a kind. Never settles when the part ends first: that is `onUnexpectedEnd`'s to tell. */
  next<Kind extends FromPart['kind']>(kind: Kind): Promise<Extract<FromPart, { kind: Kind }>> {
    return new Promise((resolve) => {
      const listener = (message: FromPart) => {
        if (message.kind !== kind) return;
        this.#child.off('message', listener);
        resolve(message as Extract<FromPart, { kind: Kind }>);
      };
      this.#child.on('message', listener);
    });
  }

  send(message: ToLoad): void {
    // A part that is gone has been reported by its end; the callback keeps the failed write from being thrown.
    this.#child.send(message, () => {});
  }

  /** Asks it to end, and makes it after a while. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.kill('SIGTERM');
    const limit = setTimeout(() => this.#child.kill('SIGKILL'), STOP_LIMIT_MS);
    await this.#exited;
    clearTimeout(limit);
    process.off('exit', this.#onExit);
  }
}

/** Inside a part: resolves when the demo closes the channel or is gone. */
export async function untilDisconnected(): Promise<void> {
  if (process.connected) await once(process, 'disconnect');
}

function endMessage(name: string, code: number | null, signal: NodeJS.Signals | null, output: string): string {
  const how = signal === null ? `exit ${code}` : `${signal}`;
  const said = output.trim();
  return `${name} ended (${how})${said === '' ? '' : `: ${said}`}`;
}
