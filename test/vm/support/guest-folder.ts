import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { bootGuest, type GuestOptions, type GuestResult } from '../boot-guest.ts';

const ROOT = join(import.meta.dirname, '../../..');
const GUEST = join(import.meta.dirname, '../guest');

/** Everything for work, least without: the guest's latency means nothing. */
export const WORK_OR_REST = `controller: expression
interval: 200ms
parameters: { level: "1", idleAfter: 1s }
level: { min: 0.1, max: 1 }
`;

/** On top of the unit: a record of what systemd does with it, and all the time that an emulated machine may need. */
const RECORD = `[Service]
StandardOutput=append:/vm/daemon.log
StandardError=append:/vm/daemon.log
ReadWritePaths=/vm
TimeoutStartSec=infinity
TimeoutStopSec=120s
ExecStopPost=/bin/sh -c 'sh /vm/controls.sh >/vm/after-$$SERVICE_RESULT'
`;

/** What a guest is given, and what it writes down: the files of guest/common and of one test's folder beside it. */
export class GuestFolder {
  readonly path: string;

  /** @param name of the folder below guest/ */
  constructor(name: string) {
    this.path = mkdtempSync(join(tmpdir(), `tailgov-${name}-`));
    // A server may be another user's.
    chmodSync(this.path, 0o777);
    for (const part of ['common', name]) cpSync(join(GUEST, part), this.path, { recursive: true });
  }

  write(name: string, text: string): void {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /** Builds the Debian package, as tailgov.deb, whose unit is recorded. */
  addPackage(): void {
    const script = join(ROOT, 'deploy/package-deb.mjs');
    const file = execFileSync(process.execPath, [script, '--out', this.path], { encoding: 'utf8' }).trim();
    cpSync(file, join(this.path, 'tailgov.deb'));
    this.write('units/tailgov.service.d/record.conf', RECORD);
  }

  /** Builds the command line, whose path the file `program` tells. */
  addProgram(): void {
    execFileSync(process.execPath, [join(ROOT, 'deploy/build.mjs'), 'bpf', 'bundle'], { stdio: 'pipe' });
    this.write('program', join(ROOT, 'dist/cli.js'));
  }

  boot(options: Omit<GuestOptions, 'folder'>): Promise<GuestResult> {
    return bootGuest({ folder: this.path, ...options });
  }

  /** What the guest wrote into a file; nothing where there is none. */
  seen(name: string): string {
    const file = join(this.path, name);
    return existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  }

  /** What the controls showed in a step, by name. */
  controls(step: string): Readonly<Record<string, string>> {
    const lines = this.seen(step).split('\n');
    return Object.fromEntries(
      lines.map((line) => {
        const [name, ...shown] = line.split(' ');
        return [name!, shown.join(' ').trim()];
      }),
    );
  }

  /** What was logged in a step, by daemon and restorer. */
  logOf(step: string): string {
    return new RegExp(`^== ${step}$([^]*?)(?:^== |(?![^]))`, 'm').exec(this.seen('daemon.log'))?.[1] ?? '';
  }

  /** For the message of a failure. @param names files besides those that every script writes */
  whatHappened(guest: GuestResult, ...names: string[]): string {
    const files = ['in-vain', 'steps', 'daemon.log', 'server.log', ...names];
    return [guest.console, ...files.map((name) => `${name}:\n${this.seen(name)}`)].join('\n');
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}
