import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 60_000;

/** As much as is touched here of what `runc spec` writes, see the OCI runtime specification. */
interface Spec {
  process: { args: string[]; terminal: boolean };
  linux: { cgroupsPath?: string };
}

/** A real container, with namespaces and control groups that runc makes, in which busybox serves a page on a port. */
export class WebContainer {
  readonly id: string;
  readonly #port: number;
  readonly #bundle = mkdtempSync(join(tmpdir(), 'tailgov-container-'));
  #pid = 0;

  /** @param id 64 hexadecimal digits, as container engines give them */
  constructor(id: string, port: number) {
    this.id = id;
    this.#port = port;
    const root = join(this.#bundle, 'rootfs');
    for (const folder of ['bin', 'www', 'proc', 'dev', 'sys']) mkdirSync(join(root, folder), { recursive: true });
    copyFileSync('/usr/bin/busybox', join(root, 'bin/busybox'));
    writeFileSync(join(root, 'www/index.html'), 'hello\n');
    execFileSync('runc', ['spec'], { cwd: this.#bundle });
    const file = join(this.#bundle, 'config.json');
    const spec = JSON.parse(readFileSync(file, 'utf8')) as Spec;
    spec.process.args = ['/bin/busybox', 'httpd', '-f', '-p', `${port}`, '-h', '/www'];
    spec.process.terminal = false;
    spec.linux.cgroupsPath = `/${id}`;
    writeFileSync(file, JSON.stringify(spec));
  }

  /** Runs it, until it serves. */
  async start(): Promise<void> {
    const child = spawn('runc', [...this.#state(), 'run', '--bundle', this.#bundle, this.id], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const pid = this.#runningPid();
      if (pid !== undefined) {
        this.#pid = pid;
        break;
      }
      if (performance.now() > deadline) throw new Error(`container ${this.id} does not run`);
      await Promise.race([ended, sleep(50)]);
    }
    this.#inside('ip', 'link', 'set', 'lo', 'up');
    // Asked for its socket and not for its page: that would be a request.
    const listens = () => this.#inside('ss', '-ltnH', `sport = :${this.#port}`).trim() !== '';
    while (!listens()) {
      if (performance.now() > deadline) throw new Error(`container ${this.id} does not listen`);
      await sleep(50);
    }
  }

  /** Asks for the page, each time over a connection of its own. */
  ask(times: number): void {
    for (let asked = 0; asked < times; asked++) {
      const said = this.#inside('curl', '-s', `http://127.0.0.1:${this.#port}/index.html`);
      if (said !== 'hello\n') throw new Error(`container ${this.id} answered ${JSON.stringify(said)}`);
    }
  }

  stop(): void {
    execFileSync('runc', [...this.#state(), 'delete', '--force', this.id], { stdio: 'ignore' });
    this.#pid = 0;
  }

  remove(): void {
    if (this.#pid !== 0) this.stop();
    rmSync(this.#bundle, { recursive: true });
  }

  #state(): readonly string[] {
    return ['--root', join(this.#bundle, 'state')];
  }

  #runningPid(): number | undefined {
    const list = [...this.#state(), 'list', '--format', 'json'];
    // It complains of containers that are half made.
    const listed = execFileSync('runc', list, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const containers = (JSON.parse(listed) ?? []) as readonly { id: string; pid: number; status: string }[];
    return containers.find(({ id, status }) => id === this.id && status === 'running')?.pid;
  }

  #inside(...command: readonly string[]): string {
    return execFileSync('nsenter', ['-t', `${this.#pid}`, '-n', ...command], { encoding: 'utf8' });
  }
}
