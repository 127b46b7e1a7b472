import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootGuest } from './boot-guest.ts';
import { bundleForGuest } from './bundle-for-guest.ts';

describe('bootGuest()', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tailgov-guest-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });
  const result = (name: string) => readFileSync(join(folder, name), 'utf8').trim();

  it('runs the script as root on the stock kernel, where the native binding attaches fentry', async () => {
    const source = join(import.meta.dirname, 'guest/count-syncs.bpf.c');
    const object = join(folder, 'count-syncs.bpf.o');
    const headers = ['-idirafter', '/usr/include/x86_64-linux-gnu'];
    execFileSync('clang', [
      '-O2',
      '-g',
      '-target',
      'bpf',
      '-D__TARGET_ARCH_x86',
      ...headers,
      '-c',
      source,
      '-o',
      object,
    ]);
    await bundleForGuest(join(import.meta.dirname, 'guest/count-syncs.ts'), folder);
    const trace = '/etc/tailgov-guest-was-here';
    await writeFile(
      join(folder, 'run.sh'),
      `id -u >/vm/user; uname -r >/vm/release
echo yes >${trace} && cp ${trace} /vm/wrote
ls /sys/fs/cgroup/cgroup.controllers && "$GUEST_NODE" /vm/run.mjs && exit 7`,
    );
    const guest = await bootGuest({ folder });
    expect(guest.status, guest.console).toBe(7);
    expect(result('user')).toBe('0');
    expect(result('release')).toMatch(/-amd64$/);
    expect(result('syncs')).toBe('7');
    // The guest could write its root, and this machine has nothing of it.
    expect(result('wrote')).toBe('yes');
    expect(existsSync(trace)).toBe(false);
    // The kernel's own default governor has programmed something by now.
    expect(guest.pstates.map((log) => log.length > 0)).toEqual([true, true]);
  });

  it("runs systemd as PID 1 with the folder's units and none of this machine's", async () => {
    await mkdir(join(folder, 'units'));
    await writeFile(
      join(folder, 'units/sample.service'),
      '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "cat /proc/1/comm >/vm/pid1"\n',
    );
    await writeFile(
      join(folder, 'run.sh'),
      `systemctl start sample.service && systemctl is-active sample.service >/vm/state
systemctl list-units --type=service --state=active --plain --no-legend >/vm/services
cat /sys/devices/system/cpu/cpufreq/policy0/scaling_driver >/vm/driver
exit 5`,
    );
    const guest = await bootGuest({ folder, systemd: true });
    expect(guest.status, guest.console).toBe(5);
    expect(result('pid1')).toBe('systemd');
    expect(result('state')).toBe('active');
    expect(result('driver')).toBe('acpi-cpufreq');
    const services = result('services')
      .split('\n')
      .map((line) => line.split(' ')[0]);
    expect(services).toEqual(['guest-run.service', 'sample.service']);
  });

  it('ends a guest that takes too long, and leaves nothing of it', async () => {
    await writeFile(join(folder, 'run.sh'), 'sleep 600');
    await expect(bootGuest({ folder, timeoutMs: 2000 })).rejects.toThrow(/^boot a guest: no end after 2 s/);
    expect(await processesThatName(folder)).toEqual([]);
  });

  it('shows the end of the console when a guest ends before its script', async () => {
    // The reset does not wait for what the serial line has still to send; the kernel does, for what it prints itself.
    const script = 'echo "<1>the last words" >/dev/kmsg; echo b >/proc/sysrq-trigger; sleep 60';
    await writeFile(join(folder, 'run.sh'), script);
    await expect(bootGuest({ folder })).rejects.toThrow(
      /^boot a guest: it ended before its script had[^]*the last words/,
    );
  });

  it('refuses a folder without a script, and CPUs that the tables do not name', async () => {
    await expect(bootGuest({ folder })).rejects.toThrow('no run.sh or run.mjs in');
    await writeFile(join(folder, 'run.sh'), 'true');
    await expect(bootGuest({ folder, smp: 9 })).rejects.toThrow('smp is 9, not 1 to 8');
  });
});

/** Ids of processes with `text` in their command line. */
async function processesThatName(text: string): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return ids.filter((id) => {
    const file = `/proc/${id}/cmdline`;
    return existsSync(file) && readFileSync(file, 'utf8').includes(text);
  });
}
