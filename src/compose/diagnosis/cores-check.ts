import { canGovernCores, describeAffinity } from '../../actuator/affinity-methods.ts';
import type { SysfsTree } from '../../core/sysfs-tree.ts';
import type { Finding } from './finding.ts';

/** How the CPUs of services can be set, for the planner’s strategies `cores` and `pack`. */
export function coresCheck(tree: SysfsTree, systemd: boolean): Finding {
  if (!canGovernCores(tree)) {
    return { check: 'cores', state: 'degraded', detail: 'fewer than two CPUs online: no service can be given fewer' };
  }
  const methods = describeAffinity(tree, systemd);
  const possible = methods.filter(({ lacking }) => lacking === null).map(({ method }) => method);
  return {
    check: 'cores',
    state: 'ok',
    detail: `the CPUs of services can be set by ${possible.join(', ')}: the first that is the service’s alone`,
    alternatives: methods.map(({ method, summary, lacking }) => `${method}: ${lacking ?? summary}`),
  };
}
