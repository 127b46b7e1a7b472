import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBpf } from '../../test/kernel/support/build-bpf.ts';
import { bootGuest } from '../../test/vm/boot-guest.ts';
import { bundleForGuest } from '../../test/vm/bundle-for-guest.ts';
import { compileClient } from '../accuracy/open-loop.ts';
import type { GuestJob } from './guest-load.ts';
import type { OverheadPart } from './overhead-runs.ts';

const TIMEOUT_MS = 600_000;

/** Boots the guest, whose kernel has fentry and no tracepoints for sockets, and has it measure. */
export async function runInGuest(): Promise<Omit<OverheadPart, 'at'>> {
  const folder = mkdtempSync(join(tmpdir(), 'tailgov-overhead-'));
  const bpf = buildBpf();
  try {
    compileClient(join(folder, 'open-loop'));
    await bundleForGuest(fileURLToPath(new URL('guest-load.ts', import.meta.url)), folder);
    const job: GuestJob = { objectDirectory: bpf.directory, rounds: 3, seconds: 2 };
    writeFileSync(join(folder, 'job.json'), JSON.stringify(job));
    const { status, console } = await bootGuest({ folder, timeoutMs: TIMEOUT_MS });
    if (status !== 0) throw new Error(`the guest's script ended with ${status}:\n${console}`);
    return JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as Omit<OverheadPart, 'at'>;
  } finally {
    bpf.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}
