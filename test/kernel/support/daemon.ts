import { type ChildProcessByStdio, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { unlessGone } from '../../../src/sensor/unless-gone.ts';
import { controlClient, type ControlClient } from '../../../src/telemetry/control-client.ts';

export const CLI = resolve(import.meta.dirname, '../../../dist/cli.js');
export const ROOT = resolve(import.meta.dirname, '../../..');
export const MACHINE = 'intel-pstate-i7-1165g7-8c';

/** Runs a command of the CLI to its end. */
export function tailgov(...args: string[]) {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', timeout: 30_000 });
}

export interface StartedProgram {
  readonly process: ChildProcessByStdio<null, Readable, Readable>;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Both, in the order in which they came. */
  readonly output: () => string;
  /** Resolves with the exit code, or null where a signal ended it, once all that it said has come. */
  readonly exited: Promise<number | null>;
}

/** Starts a program and gathers what it says. */
export function startProgram(program: string, args: readonly string[], cwd?: string): StartedProgram {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(cwd === undefined ? {} : { cwd }) });
  let [stdout, stderr, output] = ['', '', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    output += chunk.toString();
  });
  const exited = new Promise<number | null>((done) => child.on('close', (code) => done(code)));
  return { process: child, stdout: () => stdout, stderr: () => stderr, output: () => output, exited };
}

/** Starts a command of the CLI. */
export const startTailgov = (...args: string[]): StartedProgram => startProgram(process.execPath, [CLI, ...args]);

/** The path of a policy that is shipped. */
export const readyPolicy = (name = 'pid'): string => join(ROOT, 'policies', `${name}.yaml`);

export interface Governed {
  readonly name?: string;
  readonly port: number;
  readonly latency?: string;
  /** A path; `pid` as it is shipped unless told. */
  readonly policy?: string;
}

/** A config that governs one service by the p99 of a minute. @param more lines for its end */
export const configOf = (
  { name = 'echo', port, latency = '5ms', policy = readyPolicy() }: Governed,
  more = '',
): string =>
  `services:
  - name: ${name}
    target: { port: ${port} }
    slo: { quantile: p99, latency: ${latency}, window: 1min }
    policy: ${policy}
${more}`;
/** For the end of a config: no port for metrics is opened. */
export const NO_METRICS = 'telemetry: { metrics: off }\n';
/** For the end of a config: metrics on any free port. */
export const ANY_PORT = 'telemetry: { metrics: 127.0.0.1:0 }\n';

/** A mock machine, a config and a runtime directory in a folder of their own. */
export class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), 'tailgov-daemon-'));
  readonly sysfs = join(this.folder, 'sys');
  readonly runtime = join(this.folder, 'run');
  readonly config = join(this.folder, 'tailgov.yaml');
  readonly client: ControlClient = controlClient(join(this.runtime, 'control.sock'));
  readonly #daemons: StartedProgram[] = [];

  constructor(config: string, machine = MACHINE) {
    mkdirSync(this.runtime);
    writeFileSync(this.config, config);
    const made = tailgov('mock', 'create', machine, this.sysfs);
    if (made.status !== 0) throw new Error(made.stderr);
  }

  /** Writes the config anew, for daemons that start from now on. */
  configure(config: string): void {
    writeFileSync(this.config, config);
  }

  /** Writes a copy of a policy that is shipped, with another interval. @returns its path */
  hasten(name: string, intervalMs: number): string {
    const path = join(this.folder, `${name}.yaml`);
    const text = readFileSync(readyPolicy(name), 'utf8');
    writeFileSync(path, text.replace(/^interval: .*$/m, `interval: ${intervalMs}ms`));
    return path;
  }

  /** Starts a daemon; `output` grows with what it prints. */
  start(...args: string[]): StartedProgram {
    return this.startUnder([], ...args);
  }

  /** @param wrapper a command that runs it, such as setpriv */
  startUnder(wrapper: readonly string[], ...args: string[]): StartedProgram {
    const [program, ...before] = [...wrapper, process.execPath, CLI, 'run', '--config', this.config];
    const daemon = startProgram(program, [...before, '--sysfs', this.sysfs, '--runtime', this.runtime, ...args]);
    this.#daemons.push(daemon);
    return daemon;
  }

  /** Resolves when the daemon has ticked. */
  async governing(limitMs?: number): Promise<void> {
    const governs = async () => {
      const status = await this.client.status().catch(() => null);
      return status !== null && status.last !== null;
    };
    await until('the daemon governs', governs, limitMs);
  }

  /** Every file of the mock that a driver lets a user write, by path: what must be as it was in the end. */
  controls(): Record<string, string> {
    const folder = join(this.sysfs, 'devices/system/cpu/cpufreq');
    const written = ['scaling_governor', 'scaling_min_freq', 'scaling_max_freq', 'energy_performance_preference'];
    return Object.fromEntries(
      readdirSync(folder)
        .flatMap((policy) => written.map((file) => `${policy}/${file}`))
        .map((path) => [path, readFileSync(join(folder, path), 'utf8').trim()]),
    );
  }

  /**
   * Exchanges a file of a policy for a pipe that nobody reads: whoever opens it for writing waits. There is always something
   * under its name.
   * @returns how it is exchanged back, and where the pipe is from then on
   */
  hang(file: string): { readonly pipe: string; readonly end: () => void } {
    const path = join(this.sysfs, 'devices/system/cpu/cpufreq', file);
    const [aside, pipe] = [`${path}.aside`, `${path}.pipe`];
    linkSync(path, aside);
    execFileSync('mkfifo', [pipe]);
    linkSync(pipe, `${pipe}.next`);
    renameSync(`${pipe}.next`, path);
    return { pipe, end: () => renameSync(aside, path) };
  }

  async close(): Promise<void> {
    for (const daemon of this.#daemons) daemon.process.kill('SIGKILL');
    // The guardians of killed daemons are at work still.
    await sleep(300);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Whether a thread of the process waits for somebody at the other end of a pipe that it opens. */
export function hangs(pid: number): boolean {
  const threads = unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  const waitsIn = (tid: string) => unlessGone(() => readFileSync(`/proc/${pid}/task/${tid}/wchan`, 'utf8'));
  return threads.some((tid) => waitsIn(tid) === 'wait_for_partner');
}

/** Waits until `holds`, for half a minute unless told: a machine may be busy with something else. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, limitMs = 30_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain until ${what}`);
    await sleep(20);
  }
}
