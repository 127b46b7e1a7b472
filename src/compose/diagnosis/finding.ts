/** `ok`: works. `degraded`: tailgov runs, with something less. `missing`: `tailgov run` cannot do its job. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'degraded' | 'missing';
  readonly detail: string;
  /** What could be had instead, and why it is not: a line each. */
  readonly alternatives?: readonly string[];
  /** What to do about it. */
  readonly remedy?: string;
}

/** The text of a small file of the kernel's, such as one below /proc; null where it is not there or may not be read. */
export type ReadText = (path: string) => string | null;
