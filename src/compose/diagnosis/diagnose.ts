import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { runningCommands } from '../../actuator/foreign-writers.ts';
import type { SysfsTree } from '../../core/sysfs-tree.ts';
import { kernelOwners } from '../../actuator/cpu-owners.ts';
import { coresCheck } from './cores-check.ts';
import { cpufreqChecks, otherWritersCheck } from './cpufreq-checks.ts';
import { choosePowerModel } from '../../telemetry/metrics-power.ts';
import { energyCheck } from './energy-check.ts';
import type { Finding } from './finding.ts';
import {
  cgroupsCheck,
  containerCheck,
  kernelTypesCheck,
  lockdownCheck,
  machineCheck,
  privilegesCheck,
  sensorCheck,
  virtualMachineCheck,
} from './system-checks.ts';

/** Looks at everything that `tailgov run` needs. Loads and unloads the probes; changes nothing. */
export async function diagnose(tree: SysfsTree): Promise<readonly Finding[]> {
  return [
    await machineCheck(),
    kernelTypesCheck(existsSync),
    privilegesCheck(process.getuid?.() ?? 0, readText),
    sensorCheck(),
    lockdownCheck(readText),
    cpufreqChecks(tree),
    otherWritersCheck(tree, runningCommands()),
    energyCheck(tree, choosePowerModel('auto')),
    coresCheck(tree, kernelOwners.units.present),
    cgroupsCheck(readText),
    containerCheck(readlinkSync('/proc/self/ns/pid'), readText),
    virtualMachineCheck(readText),
  ].flat();
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not there, or not for us: both mean that it says nothing.
    return null;
  }
}
