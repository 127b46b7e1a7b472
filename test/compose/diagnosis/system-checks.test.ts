import { describe, expect, test } from 'vitest';
import type { ReadText } from '../../../src/compose/diagnosis/finding.ts';
import {
  cgroupsCheck,
  containerCheck,
  KERNEL_TYPES_PATH,
  kernelTypesCheck,
  lockdownCheck,
  privilegesCheck,
  virtualMachineCheck,
} from '../../../src/compose/diagnosis/system-checks.ts';

const textLike = (pattern: RegExp): unknown => expect.stringMatching(pattern);
const files =
  (texts: Readonly<Record<string, string>>): ReadText =>
  (path) =>
    texts[path] ?? null;
const status = (capabilities: string) => files({ '/proc/self/status': `Name:\tnode\nCapEff:\t${capabilities}\n` });
const mounts = (...lines: string[]) => ({ '/proc/self/mounts': `${lines.join('\n')}\n` });
const HOST = 'pid:[4026531836]';

describe('privilegesCheck()', () => {
  test('is content with root, and with the three capabilities of the unit', () => {
    expect(privilegesCheck(0, status('000001ffffffffff'))).toMatchObject({
      state: 'ok',
      detail: textLike(/^root/),
    });
    expect(privilegesCheck(990, status('000000c000800000'))).toMatchObject({ state: 'ok' });
  });

  test('names each capability that is lacking and what it is for', () => {
    const nobody = privilegesCheck(65534, status('0000000000000000'));
    expect(nobody.state).toBe('missing');
    expect(nobody.detail).toBe(
      'user 65534 without CAP_BPF (loading probes), CAP_PERFMON (attaching probes), CAP_SYS_NICE (ticks in time on busy CPUs)',
    );
  });

  test('can do without the one that only makes ticks punctual', () => {
    expect(privilegesCheck(990, status('000000c000000000'))).toMatchObject({ state: 'degraded' });
  });

  test('sees a root of a container who has lost his rights', () => {
    expect(privilegesCheck(0, status('00000000a80425fb'))).toMatchObject({ state: 'missing' });
  });
});

test('kernelTypesCheck() tells how to get them where they are not', () => {
  expect(kernelTypesCheck((path) => path === KERNEL_TYPES_PATH)).toMatchObject({ state: 'ok' });
  expect(kernelTypesCheck(() => false)).toMatchObject({
    state: 'missing',
    remedy: textLike(/CONFIG_DEBUG_INFO_BTF/),
  });
});

describe('lockdownCheck()', () => {
  const lockdown = (text: string) => lockdownCheck(files({ '/sys/kernel/security/lockdown': text }));

  test('is silent where nothing is locked', () => {
    expect(lockdownCheck(files({}))).toEqual([]);
    expect(lockdown('[none] integrity confidentiality\n')).toEqual([]);
  });

  test('names the mode, and which one shuts the sensor out', () => {
    expect(lockdown('none [integrity] confidentiality\n')[0]).toMatchObject({
      detail: textLike(/integrity/),
      remedy: textLike(/^nothing/),
    });
    expect(lockdown('none integrity [confidentiality]\n')[0]).toMatchObject({
      remedy: textLike(/boot with lockdown=integrity/),
    });
  });
});

describe('containerCheck()', () => {
  test('is silent on the host', () => {
    expect(containerCheck(HOST, files(mounts('sysfs /sys sysfs rw,relatime 0 0')))).toEqual([]);
  });

  test('tells of a /sys that cannot be written, and of processes that are not seen', () => {
    const [both] = containerCheck('pid:[4026532345]', files(mounts('sysfs /sys sysfs ro,nosuid 0 0')));
    expect(both!.detail).toMatch(/processes of the host are not seen.*\/sys is mounted read-only/);
    const [readOnly] = containerCheck(HOST, files(mounts('sysfs /sys sysfs ro,nosuid 0 0')));
    expect(readOnly!.detail).not.toMatch(/processes/);
  });

  test('does not take the ro in a word for read-only', () => {
    expect(containerCheck(HOST, files(mounts('sysfs /sys sysfs rw,errors=remount-ro 0 0')))).toEqual([]);
  });
});

test('virtualMachineCheck() goes by the flag that hypervisors set', () => {
  const cpuinfo = (flags: string) => files({ '/proc/cpuinfo': `processor\t: 0\nflags\t\t: fpu ${flags} sse\n` });
  expect(virtualMachineCheck(cpuinfo('hypervisor'))).toMatchObject([{ state: 'degraded' }]);
  expect(virtualMachineCheck(cpuinfo('vmx'))).toEqual([]);
});

describe('cgroupsCheck()', () => {
  const v1 = 'cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0';
  const v2 = 'cgroup2 /sys/fs/cgroup cgroup2 rw 0 0';
  const controllers = (text: string) => ({ '/sys/fs/cgroup/cgroup.controllers': text });

  test('prefers v2 where it has cpuset', () => {
    const check = cgroupsCheck(
      files({ ...mounts(v2), ...controllers('cpuset cpu io\n'), '/proc/1/comm': 'systemd\n' }),
    );
    expect(check).toMatchObject({
      state: 'ok',
      detail: 'v2 with cpuset below /sys/fs/cgroup; systemd owns the units’ groups',
    });
  });

  test('finds cpuset of v1 beside a v2 without', () => {
    expect(cgroupsCheck(files({ ...mounts(v2, v1), ...controllers('pids\n') }))).toMatchObject({
      state: 'ok',
      detail: 'v1 cpuset below /sys/fs/cgroup/cpuset; no systemd',
    });
  });

  test('says what is left without any', () => {
    expect(cgroupsCheck(files(mounts()))).toMatchObject({
      state: 'degraded',
      remedy: textLike(/thread by thread/),
    });
  });
});
