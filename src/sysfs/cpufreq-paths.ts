/** Where the kernel keeps what is governed, relative to /sys. See Documentation/admin-guide/pm/cpufreq.rst. */
export const CPU_DIRECTORY = 'devices/system/cpu';
export const CPUFREQ_DIRECTORY = `${CPU_DIRECTORY}/cpufreq`;

export const policyDirectory = (policy: string): string => `${CPUFREQ_DIRECTORY}/${policy}`;

/** `…/cpufreq/policy3/stats/total_trans` → policy `…/cpufreq/policy3`, file `stats/total_trans` */
export function splitPolicyPath(path: string): { readonly directory: string; readonly file: string } | undefined {
  const match = /^(devices\/system\/cpu\/cpufreq\/policy\d+)\/(.+)$/.exec(path);
  return match === null ? undefined : { directory: match[1]!, file: match[2]! };
}
