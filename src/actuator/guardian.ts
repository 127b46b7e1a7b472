import { spawn } from 'node:child_process';
import { Socket } from 'node:net';

/**
 * Blocks in `read` until we say the word or our end of the pipe closes, whatever closed it. Signals that a terminal or an
 * init system sends to us are ignored: the guardian has to outlive us.
 */
const SCRIPT = `trap '' INT TERM HUP
read -r word && [ "$word" = dismissed ] && exit 0
exec "$@" >&2`;

export interface GuardianOptions {
  /** What restores, as a program and its arguments: absolute paths, since nothing of ours helps to find them. */
  readonly command: readonly string[];
  /** The guardian could not be started, or has ended before its time. */
  readonly onLost?: (detail: string) => void;
}

export interface Guardian {
  /** undefined where it could not be started. */
  readonly pid: number | undefined;
  /** We have restored ourselves. */
  dismiss(): void;
}

/**
 * Starts a process that runs `command` when this process ends without having dismissed it, also by SIGKILL of its whole
 * process group: a shell in a session of its own, about 1 MB. Does not keep this process alive.
 */
export function startGuardian({ command, onLost = () => undefined }: GuardianOptions): Guardian {
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'tailgov-guardian', ...command], {
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  let dismissed = false;
  child.on('error', (error) => onLost(`start: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (!dismissed) onLost(`ended by ${signal ?? `exit code ${code}`}`);
  });
  // Writing to a guardian that is gone: its end was reported above.
  child.stdin.on('error', (error) => {
    if (!dismissed) onLost(`pipe: ${error.message}`);
  });
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  return {
    pid: child.pid,
    dismiss() {
      dismissed = true;
      child.stdin.end('dismissed\n');
    },
  };
}
