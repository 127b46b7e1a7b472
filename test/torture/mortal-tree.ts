import type { SysfsTree } from '../../src/core/sysfs-tree.ts';

/** The process is gone: nothing of it runs any more. */
export class Death extends Error {}

/** A tree whose process dies at its n-th write, before or after the kernel has taken it; from then on every call throws. */
export function mortalTree(base: SysfsTree, diesAt: number, taken: boolean) {
  let writes = 0;
  let dead = false;
  const living = <T>(act: () => T): T => {
    if (dead) throw new Death('gone');
    return act();
  };
  const tree: SysfsTree = {
    root: base.root,
    read: (path) => living(() => base.read(path)),
    list: (path) => living(() => base.list(path)),
    write: (path, text) =>
      living(() => {
        writes += 1;
        dead = writes === diesAt;
        if (!dead) return base.write(path, text);
        if (taken) base.write(path, text);
        throw new Death('at a write');
      }),
    close: () => undefined,
  };
  return { tree, writes: () => writes };
}

/** @returns false where the process died */
export function survives(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (error instanceof Death) return false;
    throw error;
  }
}
