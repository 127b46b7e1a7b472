/** Where the kernel keeps what is governed, relative to /sys. See Documentation/admin-guide/pm/cpufreq.rst. */
export const CPU_DIRECTORY = 'devices/system/cpu';
/** See Documentation/ABI/stable/sysfs-devices-node. */
export const NODE_DIRECTORY = 'devices/system/node';
export const CPUFREQ_DIRECTORY = `${CPU_DIRECTORY}/cpufreq`;
/** See Documentation/admin-guide/pm/intel_pstate.rst, "Global Attributes". */
export const INTEL_PSTATE_DIRECTORY = `${CPU_DIRECTORY}/intel_pstate`;
export const GLOBAL_BOOST = `${CPUFREQ_DIRECTORY}/boost`;
export const NO_TURBO = `${INTEL_PSTATE_DIRECTORY}/no_turbo`;
export const MAX_PERF_PCT = `${INTEL_PSTATE_DIRECTORY}/max_perf_pct`;

export const policyDirectory = (policy: string): string => `${CPUFREQ_DIRECTORY}/${policy}`;

/** `…/cpufreq/policy3/stats/total_trans` → policy `…/cpufreq/policy3`, file `stats/total_trans` */
export function splitPolicyPath(path: string): { readonly directory: string; readonly file: string } | undefined {
  const match = /^(devices\/system\/cpu\/cpufreq\/policy\d+)\/(.+)$/.exec(path);
  return match === null ? undefined : { directory: match[1]!, file: match[2]! };
}

/**
 * Drivers that take a range and one of two policies, `performance` and `powersave`, and choose the speed themselves: no
 * governors, no setspeed (`setpolicy` drivers: intel_pstate and amd-pstate in active mode).
 */
export const isSelfGoverned = (driver: string): boolean => driver === 'intel_pstate' || driver === 'amd-pstate-epp';
