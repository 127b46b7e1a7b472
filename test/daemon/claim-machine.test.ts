import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimMachine } from '../../src/daemon/claim-machine.ts';

let root: string;
let file: string;
const warnings: string[] = [];
const claim = () => claimMachine(root, (message) => warnings.push(message));

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tailgov-claim-'));
  chmodSync(root, 0o755);
  file = join(root, 'devices/system/cpu/online');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, '0-1\n');
  warnings.length = 0;
});
afterEach(() => rmSync(root, { recursive: true }));

/** Another process that holds the lock, by flock(1), until it is killed. */
async function lockedByAnother(uid?: number) {
  const child = spawn('flock', ['--exclusive', '--no-fork', file, 'sh', '-c', 'echo held; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(uid === undefined ? {} : { uid }),
  });
  await once(child.stdout, 'data');
  return child;
}

describe('claimMachine()', () => {
  it('is refused with the pid of who has claimed it, until they have ended', async () => {
    const other = await lockedByAnother();
    expect(claim).toThrow(`a daemon with pid ${other.pid} already governs the machine below ${root}`);
    other.kill('SIGKILL');
    await once(other, 'close');
    const end = claim();
    expect(claim).toThrow(`a daemon with pid ${process.pid} already governs`);
    end();
    claim()();
    expect(warnings).toEqual([]);
  });

  it.runIf(process.geteuid?.() === 0)('is not kept from root by a user without rights', async () => {
    const other = await lockedByAnother(65534);
    claim()();
    expect(warnings).toEqual([expect.stringContaining(`process ${other.pid} of user 65534 holds a lock`)]);
    other.kill('SIGKILL');
    await once(other, 'close');
  });

  it('claims nothing where there is no machine', () => {
    rmSync(file);
    claim()();
    expect(warnings).toEqual([]);
  });
});
