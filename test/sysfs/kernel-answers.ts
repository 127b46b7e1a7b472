/**
 * What the kernel answers to good and bad writes: acpi-cpufreq, two CPUs with a policy each, P-states at 3200, 2800, 2400,
 * 2000, 1600 and 1200 MHz (`sysfs-mocks/acpi-cpufreq-qemu-2c.tsv`). Data, so that the same table is run against the model
 * and against a real kernel in a guest. Each scenario starts from governor performance and the full range.
 */
export interface KernelStep {
  readonly operation: 'write' | 'read';
  readonly path: string;
  /** What is written. */
  readonly text: string;
  /** For a write `ok` or the errno; for a read the text or the errno. */
  readonly expected: string;
}

export interface KernelScenario {
  readonly name: string;
  readonly steps: readonly KernelStep[];
}

const CPU = 'devices/system/cpu';
const POLICY0 = `${CPU}/cpufreq/policy0`;
const POLICY1 = `${CPU}/cpufreq/policy1`;

const write = (path: string, text: string, expected = 'ok'): KernelStep => ({
  operation: 'write',
  path,
  text,
  expected,
});
const read = (path: string, expected: string): KernelStep => ({ operation: 'read', path, text: '', expected });
const governor = (text: string, expected?: string) => write(`${POLICY0}/scaling_governor`, text, expected);
const max = (text: string, expected?: string) => write(`${POLICY0}/scaling_max_freq`, text, expected);
const min = (text: string, expected?: string) => write(`${POLICY0}/scaling_min_freq`, text, expected);
const setspeed = (text: string, expected?: string) => write(`${POLICY0}/scaling_setspeed`, text, expected);
const reads = (file: string, expected: string) => read(`${POLICY0}/${file}`, expected);
const readsRange = (minKhz: string, maxKhz: string) => [
  reads('scaling_min_freq', minKhz),
  reads('scaling_max_freq', maxKhz),
];

/** Every path that the scenarios write, brought to where they start. */
export const START: readonly KernelStep[] = [
  write(`${CPU}/cpu1/online`, '1'),
  ...[POLICY0, POLICY1].flatMap((policy) => [
    write(`${policy}/scaling_max_freq`, '3200000'),
    write(`${policy}/scaling_min_freq`, '1200000'),
    write(`${policy}/scaling_governor`, 'performance'),
    read(`${policy}/scaling_governor`, 'performance'),
    read(`${policy}/scaling_cur_freq`, '3200000'),
  ]),
];

export const KERNEL_ANSWERS: readonly KernelScenario[] = [
  {
    name: 'setspeed needs governor userspace',
    steps: [reads('scaling_setspeed', '<unsupported>'), setspeed('2400000', 'EINVAL')],
  },
  {
    name: 'setspeed sets the speed, rounded up to a step and clamped to the range',
    steps: [
      governor('userspace'),
      setspeed('2400000'),
      reads('scaling_cur_freq', '2400000'),
      reads('scaling_setspeed', '2400000'),
      setspeed('2500000'),
      reads('scaling_cur_freq', '2800000'),
      setspeed('99999999'),
      reads('scaling_cur_freq', '3200000'),
      setspeed('1'),
      reads('scaling_cur_freq', '1200000'),
      setspeed('junk', 'EINVAL'),
      reads('scaling_cur_freq', '1200000'),
    ],
  },
  {
    name: 'a cap bounds setspeed, which is remembered',
    steps: [
      governor('userspace'),
      max('2000000'),
      setspeed('3200000'),
      reads('scaling_cur_freq', '2000000'),
      max('2800000'),
      reads('scaling_cur_freq', '2800000'),
      max('3200000'),
      reads('scaling_cur_freq', '3200000'),
    ],
  },
  {
    name: 'userspace starts at the speed that was there',
    steps: [max('2000000'), governor('userspace'), max('3200000'), reads('scaling_setspeed', '2000000')],
  },
  {
    name: 'junk is refused and changes nothing',
    steps: [
      governor('nosuch', 'EINVAL'),
      max('junk', 'EINVAL'),
      max('-5', 'EINVAL'),
      max('', 'EINVAL'),
      min('junk', 'EINVAL'),
      reads('scaling_governor', 'performance'),
      ...readsRange('1200000', '3200000'),
    ],
  },
  {
    name: 'a number is read as scanf reads it',
    steps: [
      max(' 2000000'),
      reads('scaling_max_freq', '2000000'),
      max('2400000 kHz'),
      reads('scaling_max_freq', '2400000'),
      max('2.4'),
      reads('scaling_max_freq', '1200000'),
      max('+2000000', 'EINVAL'),
      max('2147483648', 'EINVAL'),
      reads('scaling_max_freq', '1200000'),
    ],
  },
  {
    name: 'a maximum rounds down and clamps',
    steps: [
      max('2100000'),
      reads('scaling_max_freq', '2000000'),
      reads('scaling_cur_freq', '2000000'),
      max('99999999'),
      reads('scaling_max_freq', '3200000'),
      max('100'),
      reads('scaling_max_freq', '1200000'),
      max('0'),
      reads('scaling_max_freq', '1200000'),
      max('2147483647'),
      reads('scaling_max_freq', '3200000'),
    ],
  },
  {
    name: 'a minimum rounds up and clamps',
    steps: [
      min('2100000'),
      reads('scaling_min_freq', '2400000'),
      min('99999999'),
      ...readsRange('3200000', '3200000'),
      min('0'),
      reads('scaling_min_freq', '1200000'),
    ],
  },
  {
    name: 'a maximum below the minimum takes it along, and a hidden request comes back',
    steps: [
      min('2800000'),
      max('2000000'),
      ...readsRange('2000000', '2000000'),
      max('3200000'),
      ...readsRange('2800000', '3200000'),
    ],
  },
  {
    name: 'a minimum above the maximum waits for it to rise',
    steps: [
      max('2000000'),
      min('2800000'),
      ...readsRange('2000000', '2000000'),
      max('2400000'),
      ...readsRange('2400000', '2400000'),
    ],
  },
  {
    name: 'writing the minimum that shows replaces the hidden request',
    steps: [min('2800000'), max('2000000'), min('2000000'), max('3200000'), ...readsRange('2000000', '3200000')],
  },
  {
    name: 'a range without a step widens up to the next',
    steps: [min('2100000'), max('2100000'), ...readsRange('2400000', '2400000'), reads('scaling_cur_freq', '2400000')],
  },
  {
    name: 'governor powersave runs at the minimum, performance at the cap',
    steps: [
      max('2400000'),
      reads('scaling_cur_freq', '2400000'),
      governor('powersave'),
      reads('scaling_cur_freq', '1200000'),
      min('1600000'),
      reads('scaling_cur_freq', '1600000'),
      governor('performance'),
      reads('scaling_cur_freq', '2400000'),
    ],
  },
  {
    name: 'governor names are taken in any case and with a newline',
    steps: [governor('POWERSAVE\n'), reads('scaling_governor', 'powersave')],
  },
  {
    name: 'read-only files are refused when they are opened',
    steps: [
      write(`${POLICY0}/cpuinfo_max_freq`, '1', 'EACCES'),
      write(`${POLICY0}/scaling_driver`, 'x', 'EACCES'),
      write(`${POLICY0}/nosuch`, '1', 'ENOENT'),
      read(`${POLICY0}/nosuch`, 'ENOENT'),
      read(POLICY0, 'EISDIR'),
      write(POLICY0, '1', 'EISDIR'),
    ],
  },
  {
    name: 'the policy of an offline CPU is busy, and keeps its requests',
    steps: [
      write(`${POLICY1}/scaling_max_freq`, '2000000'),
      write(`${CPU}/cpu1/online`, '0'),
      read(`${CPU}/online`, '0'),
      read(`${POLICY1}/scaling_max_freq`, 'EBUSY'),
      read(`${POLICY1}/affected_cpus`, 'EBUSY'),
      write(`${POLICY1}/scaling_max_freq`, '1600000', 'EBUSY'),
      write(`${POLICY1}/cpuinfo_max_freq`, '1600000', 'EACCES'),
      write(`${CPU}/cpu1/online`, '1'),
      read(`${CPU}/online`, '0-1'),
      read(`${POLICY1}/scaling_governor`, 'performance'),
      read(`${POLICY1}/scaling_max_freq`, '2000000'),
      read(`${POLICY1}/affected_cpus`, '1'),
    ],
  },
];

/** The same for a driver without a table: amd-pstate in passive mode (`sysfs-mocks/amd-pstate-qemu-2c.tsv`), 1200 to 3199 MHz. */
export const CONTINUOUS_START: readonly KernelStep[] = [
  max('3199000'),
  min('1200000'),
  governor('performance'),
  reads('scaling_governor', 'performance'),
  reads('scaling_cur_freq', '3199000'),
];

export const CONTINUOUS_ANSWERS: readonly KernelScenario[] = [
  {
    name: 'a cap sticks as it is written',
    steps: [max('1730000'), ...readsRange('1200000', '1730000'), reads('scaling_cur_freq', '1730000')],
  },
  {
    name: 'the range clamps',
    steps: [max('99999999'), ...readsRange('1200000', '3199000'), max('0'), ...readsRange('1200000', '1200000')],
  },
  {
    name: 'a hidden minimum comes back',
    steps: [
      min('2801000'),
      max('2003000'),
      ...readsRange('2003000', '2003000'),
      max('3199000'),
      ...readsRange('2801000', '3199000'),
    ],
  },
  {
    name: 'setspeed sets any speed of the range',
    steps: [
      governor('userspace'),
      setspeed('1730000'),
      reads('scaling_setspeed', '1730000'),
      reads('scaling_cur_freq', '1730000'),
    ],
  },
  {
    name: 'governor powersave runs at the minimum',
    steps: [min('1311000'), governor('powersave'), reads('scaling_cur_freq', '1311000')],
  },
];

/** A control group of version 2 that is there for the test, with one in it that has a task. */
export const CPUSET2 = 'fs/cgroup/tailgov-answers';
const WITH_TASK = `${CPUSET2}/with-task`;

/** Cpusets of version 2 on a machine of two CPUs, in order: each scenario starts where both ask for nothing. */
export const CPUSET2_START: readonly KernelStep[] = [
  write(`${CPU}/cpu1/online`, '1'),
  write(`${CPUSET2}/cpuset.cpus`, ''),
];

export const CPUSET2_ANSWERS: readonly KernelScenario[] = [
  {
    name: 'without a request a cpuset has what its parent has',
    steps: [read(`${WITH_TASK}/cpuset.cpus`, ''), read(`${WITH_TASK}/cpuset.cpus.effective`, '0-1')],
  },
  {
    name: 'a request narrows, and what lies below it',
    steps: [
      write(`${WITH_TASK}/cpuset.cpus`, '1'),
      read(`${WITH_TASK}/cpuset.cpus.effective`, '1'),
      write(`${WITH_TASK}/cpuset.cpus`, '0,1'),
      read(`${WITH_TASK}/cpuset.cpus`, '0-1'),
    ],
  },
  {
    name: 'a cpuset with tasks is not emptied',
    steps: [
      write(`${WITH_TASK}/cpuset.cpus`, '1'),
      write(`${WITH_TASK}/cpuset.cpus`, '', 'ENOSPC'),
      read(`${WITH_TASK}/cpuset.cpus`, '1'),
      write(`${WITH_TASK}/cpuset.cpus`, '0-1'),
      read(`${WITH_TASK}/cpuset.cpus.effective`, '0-1'),
    ],
  },
  {
    name: 'junk and CPUs that cannot be are refused',
    steps: [
      write(`${WITH_TASK}/cpuset.cpus`, '0-1'),
      write(`${WITH_TASK}/cpuset.cpus`, 'junk', 'EINVAL'),
      write(`${WITH_TASK}/cpuset.cpus`, '1-0', 'EINVAL'),
      write(`${WITH_TASK}/cpuset.cpus`, '99', 'ERANGE'),
      write(`${WITH_TASK}/cpuset.cpus.effective`, '0', 'EINVAL'),
      read(`${WITH_TASK}/cpuset.cpus`, '0-1'),
    ],
  },
  {
    name: 'a request outlives its CPU, and shows its effect again when the CPU is back',
    steps: [
      write(`${WITH_TASK}/cpuset.cpus`, '1'),
      write(`${CPU}/cpu1/online`, '0'),
      read(`${WITH_TASK}/cpuset.cpus`, '1'),
      read(`${WITH_TASK}/cpuset.cpus.effective`, '0'),
      write(`${CPU}/cpu1/online`, '1'),
      read(`${WITH_TASK}/cpuset.cpus.effective`, '1'),
    ],
  },
];

/** The same for version 1, for a machine of two CPUs with two cpusets below one of ours; each starts with all of them at 0-1. */
export const CPUSET1 = 'fs/cgroup/cpuset/tailgov-answers';
const [TASK1, EXCLUSIVE1] = [`${CPUSET1}/with-task`, `${CPUSET1}/exclusive`];

export const CPUSET1_ANSWERS: readonly KernelScenario[] = [
  {
    name: 'a cpuset with tasks is not emptied',
    steps: [
      write(`${TASK1}/cpuset.cpus`, '', 'ENOSPC'),
      read(`${TASK1}/cpuset.cpus`, '0-1'),
      write(`${TASK1}/cpuset.cpus`, '1'),
      read(`${TASK1}/cpuset.effective_cpus`, '1'),
      write(`${TASK1}/cpuset.cpus`, '0-1'),
    ],
  },
  {
    name: 'a parent keeps what its children have, and a child has no more than its parent',
    steps: [
      write(`${CPUSET1}/cpuset.cpus`, '0', 'EBUSY'),
      write(`${TASK1}/cpuset.cpus`, '0'),
      write(`${CPUSET1}/cpuset.cpus`, '0'),
      write(`${TASK1}/cpuset.cpus`, '0-1', 'EACCES'),
      write(`${CPUSET1}/cpuset.cpus`, '0-1'),
      write(`${TASK1}/cpuset.cpus`, '0-1'),
    ],
  },
  {
    name: 'junk and CPUs that cannot be are refused',
    steps: [
      write(`${TASK1}/cpuset.cpus`, 'junk', 'EINVAL'),
      write(`${TASK1}/cpuset.cpus`, '99', 'ERANGE'),
      write(`${TASK1}/cpuset.effective_cpus`, '0', 'EINVAL'),
    ],
  },
];

/** With the second cpuset alone on CPU 0 (`cpuset.cpu_exclusive`), and the other on CPU 1. */
export const CPUSET1_EXCLUSIVE: readonly KernelStep[] = [
  write(`${TASK1}/cpuset.cpus`, '0', 'EINVAL'),
  write(`${TASK1}/cpuset.cpus`, '0-1', 'EINVAL'),
  read(`${EXCLUSIVE1}/cpuset.cpus`, '0'),
];
