import { describe, expect, it } from 'vitest';
import { discoverMachine } from '../../src/actuator/discover-machine.ts';
import { followingPlanner } from '../../src/compose/following-planner.ts';
import { createFrequencyPlanner } from '../../src/planner/frequency-planner.ts';
import { MemoryTree } from '../../src/sysfs/memory-tree.ts';
import { shippedMock } from '../sysfs/shipped-mock.ts';

describe('followingPlanner()', () => {
  it('plans for the machine as it is, and makes a planner only when that has changed', () => {
    const tree = new MemoryTree(shippedMock('acpi-cpufreq-qemu-2c'));
    let machine = discoverMachine(tree);
    let made = 0;
    const planner = followingPlanner(
      () => machine,
      (now) => {
        made += 1;
        return createFrequencyPlanner(now, {});
      },
    );
    const both = planner.plan([{ service: 'web', level: 0.5 }]).point;
    expect(Object.keys(both.frequencyKhz)).toEqual(['policy0', 'policy1']);
    expect([planner.machine, made]).toEqual([machine, 1]);
    tree.write('devices/system/cpu/cpu1/online', '0');
    machine = discoverMachine(tree);
    expect(Object.keys(planner.full.frequencyKhz)).toEqual(['policy0']);
    // A point for the machine as it was is still worth what it gives to the CPUs that are left.
    expect(planner.levelOf(both, 'web')).toBeCloseTo(0.5, 2);
    expect(made).toBe(2);
  });
});
