import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { unlessGone } from './unless-gone.ts';

/** Where a cgroup that systemd or a container runtime made may be: cgroup v2 beside v1, systemd's own v1 tree, v2 alone. */
const ROOTS = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd', '/sys/fs/cgroup'];
/** How deep containers nest in practice: a pod in a quality class in a slice, and a container in it. */
const DEEPEST = 8;
const ID = /^[0-9a-f]{12,64}$/;

/** As systemd calls a unit: with `.service` where the name does not say what it is. `wg-quick@eth0.100` does not. */
export const unitName = (unit: string): string =>
  /\.(service|scope|slice|socket|mount|swap)$/.test(unit) ? unit : `${unit}.service`;

/** The control groups of this machine, as far as processes are looked for in them. */
export class CgroupTree {
  readonly #roots: readonly string[];

  /** @param roots the hierarchies that are searched, best first; some may be absent */
  constructor(roots: readonly string[] = ROOTS) {
    this.#roots = roots;
  }

  /** Of a directory in one of the hierarchies, or a path as /proc/PID/cgroup has it; undefined where there is none. */
  directoryOf(cgroup: string): string | undefined {
    const inside = this.#roots.some((root) => cgroup === root || cgroup.startsWith(`${root}/`));
    const candidates = inside ? [cgroup] : this.#hierarchies().map((root) => join(root, cgroup));
    return candidates.find(isCgroup);
  }

  /** A directory's path below the root of its hierarchy, such as `/batch/web`. */
  pathOf(directory: string): string | undefined {
    const root = this.#hierarchies().find((each) => directory.startsWith(`${each}/`));
    return root === undefined ? undefined : directory.slice(root.length);
  }

  /** The directory of a systemd unit, which is in a slice; undefined where it does not run. */
  directoryOfUnit(unit: string): string | undefined {
    const name = unitName(unit);
    return this.#find(
      (entry) => entry === name,
      (entry) => entry.endsWith('.slice') || /^user@.*\.service$/.test(entry),
    );
  }

  /**
   * The directory of a container: `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`, `ID`, `lxc.payload.NAME`
   * and the like.
   */
  directoryOfContainer(container: string): string | undefined {
    const isIt = ID.test(container)
      ? (entry: string) => entry.split(/[-.:]/).some((part) => ID.test(part) && part.startsWith(container))
      : (entry: string) =>
          entry === container || entry === `lxc.payload.${container}` || entry === `machine-${container}.scope`;
    return this.#find(isIt, () => true);
  }

  /** The processes in a directory and in all below it. */
  processes(directory: string): readonly number[] {
    return [directory, ...below(directory, DEEPEST, () => true)].flatMap((each) => {
      const text = unlessGone(() => readFileSync(join(each, 'cgroup.procs'), 'latin1')) ?? '';
      return text.split('\n').filter(Boolean).map(Number);
    });
  }

  #find(isIt: (entry: string) => boolean, mayHold: (entry: string) => boolean): string | undefined {
    for (const root of this.#hierarchies()) {
      for (const directory of below(root, DEEPEST, mayHold, isIt)) {
        if (isIt(directory.slice(directory.lastIndexOf('/') + 1))) return directory;
      }
    }
    return undefined;
  }

  /** A root of several hierarchies is none itself. */
  #hierarchies(): readonly string[] {
    return this.#roots.filter(isCgroup);
  }
}

const isCgroup = (directory: string): boolean =>
  unlessGone(() => statSync(join(directory, 'cgroup.procs'))) !== undefined;

/** The directories below one, nearest first, down to `depth` levels and into those that `mayHold` accepts; all are told. */
function* below(
  top: string,
  depth: number,
  mayHold: (entry: string) => boolean,
  stopAt: (entry: string) => boolean = () => false,
): Generator<string, void> {
  let level = [top];
  for (let left = depth; left > 0 && level.length > 0; left--) {
    const next: string[] = [];
    for (const directory of level) {
      for (const entry of unlessGone(() => readdirSync(directory, { withFileTypes: true })) ?? []) {
        if (!entry.isDirectory()) continue;
        const path = join(directory, entry.name);
        if (stopAt(entry.name) || mayHold(entry.name)) yield path;
        if (mayHold(entry.name)) next.push(path);
      }
    }
    level = next;
  }
}
