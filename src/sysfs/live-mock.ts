import { closeSync, openSync, statSync, watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';
import { CpufreqPolicy, WRITABLE_POLICY_FILES } from './cpufreq-policy.ts';
import { CPUFREQ_DIRECTORY, policyDirectory } from './cpufreq-paths.ts';
import { playEnergy } from './played-energy.ts';
import { realTree } from './real-tree.ts';
import { writeInPlace } from './write-in-place.ts';

/** fs.watch can miss a change that comes while it reports another. */
const POLL_MS = 500;
const GOVERNED_FILES: readonly string[] = [...WRITABLE_POLICY_FILES, 'scaling_cur_freq', 'cpuinfo_cur_freq'];

export interface LiveMock {
  close(): void;
}

/**
 * Plays the kernel behind a mock on disk: shortly after somebody wrote to a cpufreq file below `directory`, all files of
 * that policy show what the kernel would have made of it, and a write that it would refuse is undone. A writer sees its own
 * text until then, and never an error. Energy counters of packages count, by an invented power of their frequencies. Does not
 * keep the process alive.
 */
export function startLiveMock(directory: string): LiveMock {
  const tree = realTree(directory);
  const policies = tree.list(CPUFREQ_DIRECTORY);
  const names = policies.ok ? policies.value.filter((name) => /^policy\d+$/.test(name)) : [];
  const watchers: FSWatcher[] = [];
  const answers: (() => void)[] = [];

  for (const name of names) {
    const answer = answering(join(directory, policyDirectory(name)), (file) => {
      const result = tree.read(`${policyDirectory(name)}/${file}`);
      return result.ok ? result.value : undefined;
    });
    if (answer === undefined) continue;
    answers.push(answer);
    const watcher = watch(join(directory, policyDirectory(name)), { persistent: false }, answer);
    // A directory that was removed; the poll goes on and finds nothing.
    watcher.on('error', () => watcher.close());
    watchers.push(watcher);
  }
  const poll = setInterval(() => answers.forEach((answer) => answer()), POLL_MS).unref();
  const energy = playEnergy(tree, (path, text) => show(join(directory, path), text));

  return {
    close() {
      clearInterval(poll);
      energy.close();
      for (const watcher of watchers) watcher.close();
      tree.close();
    },
  };
}

function answering(directory: string, read: (file: string) => string | undefined): (() => void) | undefined {
  const policy = CpufreqPolicy.from(read);
  if (policy === undefined) return undefined;
  const files = GOVERNED_FILES.filter((file) => policy.governs(file));
  /** Tells a write of the text that stands there already (it replaces a hidden request) from no write at all. */
  const seenNs = new Map<string, bigint>(files.map((file) => [file, modifiedNs(directory, file)]));

  return () => {
    const before = new Map(files.map((file) => [file, modifiedNs(directory, file)]));
    const written = WRITABLE_POLICY_FILES.filter((file) => policy.governs(file))
      .map((file) => ({ file, atNs: modifiedNs(directory, file) }))
      .filter(({ file, atNs }) => atNs !== seenNs.get(file) || read(file) !== policy.read(file))
      .sort((a, b) => (a.atNs < b.atNs ? -1 : a.atNs > b.atNs ? 1 : 0));
    for (const { file } of written) policy.write(file, read(file) ?? '');
    // After the writes: until the files show what a new limit makes of them, they would look as if somebody had written.
    const limitKhz = Number(read('bios_limit') ?? Infinity);
    policy.limit('bios_limit', limitKhz > 0 ? limitKhz : Infinity);
    for (const file of files) {
      // Written meanwhile: the next round answers it, and must find it as it was written.
      if (modifiedNs(directory, file) !== before.get(file)) continue;
      const answer = policy.read(file);
      if (answer !== undefined && read(file) !== undefined && read(file) !== answer)
        show(join(directory, file), answer);
      seenNs.set(file, modifiedNs(directory, file));
    }
  };
}

/** 0 where the file is gone. */
function modifiedNs(directory: string, file: string): bigint {
  return statSync(join(directory, file), { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n;
}

function show(path: string, text: string): void {
  const descriptor = openSync(path, 'r+');
  try {
    writeInPlace(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}
