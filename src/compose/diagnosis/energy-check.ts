import type { PowerModel } from '../../core/power-model.ts';
import type { SysfsTree } from '../../core/sysfs-tree.ts';
import { findPackageEnergy } from '../../sysfs/package-energy.ts';
import type { Finding } from './finding.ts';

/** Whether power and energy will be measured, modelled or not told. @param model of this machine's CPU, where there is one */
export function energyCheck(tree: SysfsTree, model: PowerModel | null): Finding {
  const check = 'energy';
  const instead =
    model === null ? 'no model of this CPU either' : `the model of the ${model.name} instead, not measured`;
  const probe = findPackageEnergy(tree);
  switch (probe.kind) {
    case 'found': {
      const zones = probe.zones.map(({ name }) => name).join(', ');
      return { check, state: 'ok', detail: `measured by the counters (RAPL) of ${zones}` };
    }
    case 'refused': {
      const { path, errno } = probe.failure;
      const detail = `counters (RAPL) that cannot be read: ${tree.root}/${path}: ${errno}; ${instead}`;
      return { check, state: 'degraded', detail, remedy: 'only root may read energy_uj: run as root' };
    }
    case 'none': {
      const detail = `no counters (RAPL) below ${tree.root}/class/powercap; ${instead}`;
      const remedy =
        'load the driver: modprobe intel_rapl_msr (Intel and AMD); virtual machines seldom have counters. Governing needs none';
      return { check, state: 'degraded', detail, remedy };
    }
  }
}
