/**
 * Can this machine boot the guest? Plain JavaScript and quick, because the test runner asks before anything is compiled.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** What is unpacked into the cache, besides the kernel's own package. None of it is installed. */
export const GUEST_PACKAGES = ['qemu-system-x86', 'acpica-tools', 'busybox-static'];
/** Debian's name for whichever kernel package is the stock one. */
export const KERNEL_METAPACKAGE = 'linux-image-amd64';

const TOOLS = ['apt-get', 'apt-cache', 'dpkg-deb', 'xz', 'setpriv', 'taskset'];
const SYSTEMD = '/lib/systemd/systemd';

/** Where the unpacked packages and what is built from them are kept, outside the checkout. */
export function cacheDirectory() {
  return process.env.TAILGOV_VM_CACHE || '/var/tmp/tailgov-vm';
}

/** Written last: a cache without it is incomplete. */
export function completionStamp() {
  return join(cacheDirectory(), 'packages', 'complete');
}

/**
 * Root is not needed: without it the guest sees what the user may read, and stale package lists are not refreshed.
 *
 * @returns {{ ok: boolean, reason?: string }} the reason why not
 */
export function vmAvailable() {
  const no = (reason) => ({ ok: false, reason });
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return no(`the guest is an x86_64 Linux, this is ${process.platform} on ${process.arch}`);
  }
  const missing = TOOLS.filter((tool) => !onPath(tool));
  if (missing.length > 0) return no(`no ${missing.join(', ')} on the PATH: the harness expects a Debian`);
  if (!existsSync(SYSTEMD)) return no(`no ${SYSTEMD}: the guest runs this machine's`);
  if (existsSync(completionStamp())) return { ok: true };
  const unknown = withoutCandidate([...GUEST_PACKAGES, KERNEL_METAPACKAGE]);
  if (unknown.length > 0) return no(`apt offers no ${unknown.join(', ')}: run apt-get update on a Debian`);
  return { ok: true };
}

function onPath(tool) {
  return (process.env.PATH ?? '').split(':').some((directory) => directory !== '' && existsSync(join(directory, tool)));
}

/** The packages among `names` that apt cannot download, as far as its lists tell. */
function withoutCandidate(names) {
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
  try {
    const text = execFileSync('apt-cache', ['policy', ...names], options);
    const offered = new Set([...text.matchAll(/^(\S+):\n.*\n  Candidate: (?!\(none\))/gm)].map((match) => match[1]));
    return names.filter((name) => !offered.has(name));
  } catch {
    // apt-cache itself failing means the same to the caller: nothing can be had from here.
    return names;
  }
}
