import { realTree } from '../sysfs/real-tree.ts';

const POLICIES = 'devices/system/cpu/cpufreq';
const CONTROLS = ['scaling_governor', 'scaling_min_freq', 'scaling_max_freq', 'energy_performance_preference'];

/** The text of every control that a governor may have touched, by path. */
export function readControls(treeDirectory: string): ReadonlyMap<string, string> {
  const tree = realTree(treeDirectory);
  try {
    const policies = tree.list(POLICIES);
    const paths = (policies.ok ? policies.value : []).flatMap((policy) =>
      CONTROLS.map((file) => `${POLICIES}/${policy}/${file}`),
    );
    return new Map(
      paths.flatMap((path) => {
        const text = tree.read(path);
        return text.ok ? [[path, text.value] as const] : [];
      }),
    );
  } finally {
    tree.close();
  }
}

/** `PATH: was A, is B` for each control that is not as it was. */
export function changedControls(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...before].flatMap(([path, was]) => {
    const is = after.get(path);
    return is === was ? [] : [`${path}: was ${was}, is ${is ?? 'gone'}`];
  });
}
