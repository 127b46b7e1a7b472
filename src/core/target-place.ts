/**
 * Where a server's sockets are. Exactly one of `ports`, `pid`, `unit`, `cgroup`, `container` and `unix` says it; `ports`
 * beside one of the four in the middle takes these of its ports alone, and `netns` says which ports are meant.
 */
export interface TargetPlace {
  /** Local ports: of TCP, or of UDP where the target's protocol is that. */
  readonly ports?: readonly number[];
  /** The ports' network namespace: a name below /run/netns, or the path of such a file. Our own where not given. */
  readonly netns?: string;
  /** A process and its descendants. */
  readonly pid?: number;
  /** A systemd unit: `nginx`, `nginx.service`. */
  readonly unit?: string;
  /** A cgroup with all below it: a directory, or its path as /proc/PID/cgroup has it. */
  readonly cgroup?: string;
  /** A container's id or the beginning of it, of twelve or more digits, or its name where its cgroup carries that. */
  readonly container?: string;
  /** The path of a Unix-domain stream socket. */
  readonly unix?: string;
}

/** The kinds of places that processes are looked for in. */
export const PROCESS_PLACES = ['pid', 'unit', 'cgroup', 'container'] as const;
/** What says where a target is. */
export const PLACES = ['ports', ...PROCESS_PLACES, 'unix'] as const;

/** In a few words, for people: `port 80`, `unit nginx`, `port 80 in network namespace blue`. */
export function describePlace(place: TargetPlace): string {
  const { ports = [], netns, unix } = place;
  if (unix !== undefined) return `Unix socket ${unix}`;
  const kind = PROCESS_PLACES.find((key) => place[key] !== undefined);
  const parts = [
    ...(ports.length === 0 ? [] : [`port ${ports.join(', ')}`]),
    ...(kind === undefined ? [] : [`${kind} ${place[kind]}`]),
    ...(netns === undefined ? [] : [`network namespace ${netns}`]),
  ];
  return parts.join(' in ');
}

/** @returns what is wrong with the place as a whole, or undefined */
export function placeProblem(place: TargetPlace): string | undefined {
  const named = PLACES.filter((key) => place[key] !== undefined);
  const kinds = named.filter((key) => key !== 'ports');
  if (named.length === 0) return `no place given, expected one of ${PLACES.join(', ')}`;
  if (kinds.length > 1) return `${kinds.join(' and ')} given, expected one of them`;
  if (place.unix !== undefined && named.length > 1) return 'unix and ports given, expected one of them';
  if (place.netns !== undefined && (place.ports === undefined || kinds.length > 0)) {
    return 'netns given, expected it beside ports alone';
  }
  if (place.ports?.length === 0) return 'no port given, expected one or more';
  return undefined;
}
