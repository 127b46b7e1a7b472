/**
 * Kernel answers on the guest's other machines, in the form of test/sysfs/kernel-answers.ts: two CPUs a policy, pairs of
 * CPUs that share a clock, and amd-pstate with its continuous range and its boost. As there, a scenario starts from
 * governor performance and the full range.
 */
import type { KernelScenario, KernelStep } from '../sysfs/kernel-answers.ts';

interface Table {
  readonly start: readonly KernelStep[];
  readonly scenarios: readonly KernelScenario[];
}

const CPU = 'devices/system/cpu';

const write = (path: string, text: string, expected = 'ok'): KernelStep => ({
  operation: 'write',
  path: `${CPU}/${path}`,
  text,
  expected,
});
const read = (path: string, expected: string): KernelStep => ({
  operation: 'read',
  path: `${CPU}/${path}`,
  text: '',
  expected,
});

/** The steps of one policy. */
function policy(name: string) {
  const path = (file: string) => `cpufreq/${name}/${file}`;
  return {
    path,
    governor: (text: string, expected?: string) => write(path('scaling_governor'), text, expected),
    max: (text: string, expected?: string) => write(path('scaling_max_freq'), text, expected),
    min: (text: string) => write(path('scaling_min_freq'), text),
    setspeed: (text: string, expected?: string) => write(path('scaling_setspeed'), text, expected),
    reads: (file: string, expected: string) => read(path(file), expected),
    runsAt: (khz: string) => read(path('scaling_cur_freq'), khz),
  };
}
type Policy = ReturnType<typeof policy>;

const plug = (cpu: number, online: string, expected?: string) => write(`cpu${cpu}/online`, online, expected);
const toStart = (of: Policy, minKhz: string, maxKhz: string) => [
  of.max(maxKhz),
  of.min(minKhz),
  of.governor('performance'),
  of.runsAt(maxKhz),
];

const policy0 = policy('policy0');
const policy1 = policy('policy1');
const policy2 = policy('policy2');

/** Four CPUs, `policy0` = 0-1 and `policy2` = 2-3. */
export const PAIRS = {
  start: [
    plug(1, '1'),
    plug(2, '1'),
    plug(3, '1'),
    ...toStart(policy0, '1200000', '3200000'),
    ...toStart(policy2, '1200000', '3200000'),
  ],
  scenarios: [
    {
      name: 'a policy speaks for both of its CPUs and for no other',
      steps: [
        read('cpufreq/policy1/scaling_driver', 'ENOENT'),
        policy2.reads('related_cpus', '2 3'),
        policy2.reads('affected_cpus', '2 3'),
        policy2.reads('freqdomain_cpus', '2 3'),
        policy2.max('2000000'),
        policy2.runsAt('2000000'),
        policy0.runsAt('3200000'),
        policy0.governor('powersave'),
        policy0.runsAt('1200000'),
        policy2.reads('scaling_governor', 'performance'),
        policy2.runsAt('2000000'),
      ],
    },
    {
      name: 'a policy works on while one of its CPUs is online, whichever it is',
      steps: [
        policy2.max('2400000'),
        plug(2, '0'),
        policy2.reads('related_cpus', '2 3'),
        policy2.reads('affected_cpus', '3'),
        policy2.reads('scaling_max_freq', '2400000'),
        policy2.max('1600000'),
        policy2.runsAt('1600000'),
        read('online', '0-1,3'),
        plug(3, '0'),
        policy2.reads('scaling_max_freq', 'EBUSY'),
        policy2.max('2000000', 'EBUSY'),
        policy2.governor('powersave', 'EBUSY'),
        policy0.runsAt('3200000'),
        plug(2, '1'),
        policy2.reads('affected_cpus', '2'),
        policy2.reads('scaling_max_freq', '1600000'),
        policy2.reads('scaling_governor', 'performance'),
        policy2.runsAt('1600000'),
        plug(3, '1'),
        policy2.reads('affected_cpus', '2 3'),
      ],
    },
    {
      name: 'a CPU is plugged with 0 and 1, repeated without harm, and nothing else',
      steps: [
        plug(3, '0'),
        plug(3, '0'),
        read('cpu3/online', '0'),
        read('offline', '3'),
        read('cpu3/topology/core_id', 'ENOENT'),
        plug(3, '1'),
        plug(3, '1'),
        read('cpu3/online', '1'),
        read('offline', ''),
        plug(3, '2', 'EINVAL'),
        plug(3, 'junk', 'EINVAL'),
        read('cpu3/online', '1'),
        plug(0, '0', 'ENOENT'),
        write('online', '0', 'EACCES'),
      ],
    },
  ],
} satisfies Table;

/** Four CPUs with a policy each; 0-1 and 2-3 share a clock, which only `freqdomain_cpus` tells. */
export const SHARED_CLOCKS = {
  start: [...toStart(policy0, '1200000', '3200000'), ...toStart(policy1, '1200000', '3200000')],
  scenarios: [
    {
      name: 'CPUs of one clock have policies of their own, and the kernel keeps their limits apart',
      steps: [
        policy0.reads('related_cpus', '0'),
        policy0.reads('freqdomain_cpus', '0 1'),
        policy1.reads('related_cpus', '1'),
        policy1.reads('freqdomain_cpus', '0 1'),
        policy0.max('1600000'),
        policy0.runsAt('1600000'),
        policy1.reads('scaling_max_freq', '3200000'),
        policy1.runsAt('3200000'),
      ],
    },
  ],
} satisfies Table;

/** Two CPUs with a policy each under amd-pstate in passive mode. What the firmware calls 3200 MHz the driver calls 3199. */
export const AMD_PSTATE = {
  start: [plug(1, '1'), ...toStart(policy0, '1200000', '3199000'), ...toStart(policy1, '1200000', '3199000')],
  scenarios: [
    {
      name: 'there is a range without steps, and none of the files of acpi-cpufreq',
      steps: [
        policy0.reads('scaling_driver', 'amd-pstate'),
        policy0.reads('cpuinfo_min_freq', '1200000'),
        policy0.reads('cpuinfo_max_freq', '3199000'),
        policy0.reads('scaling_available_frequencies', 'ENOENT'),
        policy0.reads('bios_limit', 'ENOENT'),
        policy0.reads('freqdomain_cpus', 'ENOENT'),
        policy0.reads('stats', 'ENOENT'),
      ],
    },
    {
      name: 'a cap is kept to the kilohertz, and touches no other policy',
      steps: [
        policy0.max('1730000'),
        policy0.max('1730001'),
        policy0.reads('scaling_max_freq', '1730001'),
        policy0.runsAt('1730001'),
        policy0.max('junk', 'EINVAL'),
        policy0.reads('scaling_max_freq', '1730001'),
        policy1.reads('scaling_max_freq', '3199000'),
        policy1.runsAt('3199000'),
      ],
    },
    {
      name: 'a cap bounds setspeed, which is remembered',
      steps: [
        policy0.max('2400000'),
        policy0.governor('powersave'),
        policy0.runsAt('1200000'),
        policy0.setspeed('2000000', 'EINVAL'),
        policy0.governor('userspace'),
        policy0.reads('scaling_setspeed', '1200000'),
        policy0.setspeed('2500000'),
        policy0.runsAt('2400000'),
        policy0.max('3199000'),
        policy0.runsAt('2500000'),
      ],
    },
    {
      name: 'the policy of an offline CPU is busy, and keeps its requests',
      steps: [
        policy1.max('2000000'),
        plug(1, '0'),
        policy1.reads('scaling_max_freq', 'EBUSY'),
        policy1.max('1600000', 'EBUSY'),
        plug(1, '1'),
        policy1.reads('scaling_max_freq', '2000000'),
        policy1.runsAt('2000000'),
      ],
    },
  ],
} satisfies Table;

/** What the model leaves out: it has no boost. The kernel alone is asked. */
export const AMD_PSTATE_BOOST: readonly KernelScenario[] = [
  {
    name: 'boost is 0 or 1, and without it the nominal frequency is the maximum',
    steps: [
      read('cpufreq/boost', '1'),
      write('cpufreq/boost', '0'),
      read('cpufreq/boost', '0'),
      policy0.reads('cpuinfo_max_freq', '2400000'),
      policy0.reads('scaling_max_freq', '2400000'),
      policy0.runsAt('2400000'),
      policy0.max('3199000'),
      policy0.reads('scaling_max_freq', '2400000'),
      write('cpufreq/boost', '2', 'EINVAL'),
      write('cpufreq/boost', 'junk', 'EINVAL'),
      read('cpufreq/boost', '0'),
      write('cpufreq/boost', '1'),
      policy0.reads('scaling_max_freq', '3199000'),
      policy0.runsAt('3199000'),
    ],
  },
  {
    name: 'a switch of boost hides a cap that is still in force, and only another value brings it back to sight',
    steps: [
      policy1.max('1600000'),
      write('cpufreq/boost', '0'),
      policy1.reads('scaling_max_freq', '2400000'),
      policy1.runsAt('1600000'),
      policy1.max('1600000'),
      policy1.reads('scaling_max_freq', '2400000'),
      policy1.max('1610000'),
      policy1.max('1600000'),
      policy1.reads('scaling_max_freq', '1600000'),
      write('cpufreq/boost', '1'),
    ],
  },
];

const PREFERENCE = 'energy_performance_preference';
/** With the space at its end that the driver leaves there. */
const ALL_PREFERENCES = 'default performance balance_performance balance_power power ';
const preferring = (of: Policy, name: string) => write(of.path(PREFERENCE), name);

/** Two CPUs with a policy each under amd-pstate in active mode: the driver governs itself, by a maximum and a preference. */
export const AMD_PSTATE_ACTIVE = {
  start: [
    plug(1, '1'),
    ...[policy0, policy1].flatMap((each) => [
      each.governor('powersave'),
      preferring(each, 'balance_performance'),
      each.max('3199000'),
      each.min('1200000'),
      each.reads('scaling_max_freq', '3199000'),
    ]),
  ],
  scenarios: [
    {
      name: 'it has two governors of its own, and no speed can be set',
      steps: [
        policy0.reads('scaling_driver', 'amd-pstate-epp'),
        policy0.reads('scaling_available_governors', 'performance powersave'),
        policy0.reads('scaling_available_frequencies', 'ENOENT'),
        policy0.reads('scaling_setspeed', '<unsupported>'),
        policy0.setspeed('2000000', 'EINVAL'),
        policy0.governor('userspace', 'EINVAL'),
        policy0.governor('schedutil', 'EINVAL'),
        policy0.reads('scaling_governor', 'powersave'),
      ],
    },
    {
      name: 'a preference is one of five names, and touches no other policy',
      steps: [
        policy0.reads('energy_performance_available_preferences', ALL_PREFERENCES),
        ...['power', 'balance_power', 'balance_performance', 'performance'].flatMap((name) => [
          preferring(policy0, name),
          policy0.reads(PREFERENCE, name),
        ]),
        write(policy0.path(PREFERENCE), 'nosuch', 'EINVAL'),
        write(policy0.path(PREFERENCE), '100', 'EINVAL'),
        write(policy0.path(PREFERENCE), '', 'EINVAL'),
        policy0.reads(PREFERENCE, 'performance'),
        policy1.reads(PREFERENCE, 'balance_performance'),
      ],
    },
    {
      name: 'under performance every other preference is busy, and performance stays afterwards',
      steps: [
        preferring(policy0, 'balance_power'),
        policy0.governor('performance'),
        policy0.reads(PREFERENCE, 'performance'),
        policy0.reads('energy_performance_available_preferences', 'performance'),
        write(policy0.path(PREFERENCE), 'power', 'EBUSY'),
        write(policy0.path(PREFERENCE), 'balance_performance', 'EBUSY'),
        preferring(policy0, 'performance'),
        policy0.governor('powersave'),
        policy0.reads(PREFERENCE, 'performance'),
        policy0.reads('energy_performance_available_preferences', ALL_PREFERENCES),
        preferring(policy0, 'power'),
        policy0.reads(PREFERENCE, 'power'),
      ],
    },
    {
      name: 'a cap is kept to the kilohertz under either governor, clamped to the range, and rubbish is refused',
      steps: [
        policy0.max('1730001'),
        policy0.reads('scaling_max_freq', '1730001'),
        policy0.governor('performance'),
        policy0.reads('scaling_max_freq', '1730001'),
        policy0.max('2400000'),
        policy0.reads('scaling_max_freq', '2400000'),
        policy0.max('junk', 'EINVAL'),
        policy0.max('99999999'),
        policy0.reads('scaling_max_freq', '3199000'),
        policy0.max('0'),
        policy0.reads('scaling_max_freq', '1200000'),
        policy1.reads('scaling_max_freq', '3199000'),
      ],
    },
    {
      name: 'a hidden minimum comes back',
      steps: [
        policy0.min('2800000'),
        policy0.max('2000000'),
        policy0.reads('scaling_min_freq', '2000000'),
        policy0.reads('scaling_max_freq', '2000000'),
        policy0.max('3199000'),
        policy0.reads('scaling_min_freq', '2800000'),
      ],
    },
    {
      name: 'the policy of an offline CPU is busy',
      steps: [
        plug(1, '0'),
        policy1.reads('scaling_max_freq', 'EBUSY'),
        policy1.reads(PREFERENCE, 'EBUSY'),
        policy1.max('1600000', 'EBUSY'),
        write(policy1.path(PREFERENCE), 'performance', 'EBUSY'),
        plug(1, '1'),
      ],
    },
  ],
} satisfies Table;

/** What the model has otherwise: its boost is that of Linux 6.1, which a CPU that comes back switches on. */
export const AMD_PSTATE_ACTIVE_BACK: readonly KernelScenario[] = [
  {
    name: 'a CPU that comes back finds the cap that was asked for',
    steps: [
      policy1.max('2000000'),
      plug(1, '0'),
      plug(1, '1'),
      policy1.reads('scaling_max_freq', '2000000'),
      policy1.reads('scaling_governor', 'powersave'),
    ],
  },
];
