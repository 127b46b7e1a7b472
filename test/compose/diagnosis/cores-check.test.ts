import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { coresCheck } from '../../../src/compose/diagnosis/cores-check.ts';
import { cpufreqChecks } from '../../../src/compose/diagnosis/cpufreq-checks.ts';
import { MemoryTree } from '../../../src/sysfs/memory-tree.ts';
import { loadMock } from '../../../src/sysfs/mock-file.ts';

const VM = loadMock(fileURLToPath(new URL('../../../sysfs-mocks/virtual-machine-4c.tsv', import.meta.url)));
const single = new MemoryTree({ ...VM, files: new Map([['devices/system/cpu/online', '0']]) });

describe('on a machine without cpufreq', () => {
  test('the doctor says that CPUs can be governed, and finds nothing missing', () => {
    const tree = new MemoryTree(VM);
    expect(coresCheck(tree, false)).toEqual({
      check: 'cores',
      state: 'ok',
      detail: 'the CPUs of services can be set by threads: the first that is the service’s alone',
      alternatives: [
        'unit: systemd does not run here',
        'cgroup2: no controller cpuset of cgroup version 2',
        'cgroup1: no cpuset of cgroup version 1',
        'threads: the mask of each thread, for any service',
      ],
    });
    const [frequency] = cpufreqChecks(tree);
    expect(frequency!.state).toBe('degraded');
    expect(frequency!.detail).toContain('the CPUs of services can be governed, their frequency cannot');
    expect(frequency!.remedy).toContain('planner.strategy cores or pack');
  });

  test('with one CPU nothing is left to govern', () => {
    expect(coresCheck(single, true)).toMatchObject({ state: 'degraded' });
    expect(cpufreqChecks(single)[0]!.state).toBe('missing');
  });
});
