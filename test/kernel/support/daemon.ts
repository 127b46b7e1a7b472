import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { controlClient, type ControlClient } from '../../../src/telemetry/control-client.ts';

export const CLI = resolve(import.meta.dirname, '../../../dist/cli.js');
export const ROOT = resolve(import.meta.dirname, '../../..');
export const MACHINE = 'intel-pstate-i7-1165g7-8c';

/** Runs a command of the CLI to its end. */
export function tailgov(...args: string[]) {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', timeout: 30_000 });
}

export interface StartedDaemon {
  readonly process: ChildProcess;
  readonly output: () => string;
  readonly exited: Promise<number | null>;
}

/** A mock machine, a config and a runtime directory in a folder of their own. */
export class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), 'tailgov-daemon-'));
  readonly sysfs = join(this.folder, 'sys');
  readonly runtime = join(this.folder, 'run');
  readonly config = join(this.folder, 'tailgov.yaml');
  readonly client: ControlClient = controlClient(join(this.runtime, 'control.sock'));
  readonly #daemons: ChildProcess[] = [];

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

  /** Starts a daemon; `output` grows with what it prints. */
  start(...args: string[]): StartedDaemon {
    return this.startUnder([], ...args);
  }

  /** @param wrapper a command that runs it, such as setpriv */
  startUnder(wrapper: readonly string[], ...args: string[]): StartedDaemon {
    const [program, ...before] = [...wrapper, process.execPath];
    const child = spawn(
      program,
      [...before, CLI, 'run', '--config', this.config, '--sysfs', this.sysfs, '--runtime', this.runtime, ...args],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#daemons.push(child);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const exited = new Promise<number | null>((done) => child.on('close', (code) => done(code)));
    return { process: child, output: () => output, exited };
  }

  /** Resolves when the daemon has ticked. */
  async governing(limitMs = 30_000): Promise<void> {
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

  async close(): Promise<void> {
    for (const daemon of this.#daemons) daemon.kill('SIGKILL');
    // The guardians of killed daemons are at work still.
    await sleep(300);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits until `holds`, for ten seconds at the most. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain until ${what}`);
    await sleep(20);
  }
}
