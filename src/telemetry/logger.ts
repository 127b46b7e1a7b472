import { writeSync } from 'node:fs';
import { pino, type DestinationStream, type Logger } from 'pino';

export type { Logger };

/** For a terminal: the time, the level where it is not the usual one, the message, and the data as key=value. */
function terminalStream(fd: number): DestinationStream {
  let gone = false;
  return {
    write(line: string) {
      if (gone) return;
      const { level, time, msg, pid: _pid, hostname: _hostname, ...data } = JSON.parse(line) as Record<string, unknown>;
      const label = typeof level === 'number' && level >= 40 ? (level >= 50 ? 'error: ' : 'warning: ') : '';
      const pairs = Object.entries(data).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
      try {
        writeSync(fd, `${new Date(time as number).toLocaleTimeString('sv')} ${label}${String(msg)}${pairs.join('')}\n`);
      } catch (error) {
        // Whoever read has gone, or takes nothing now and the descriptor does not wait: governing goes on without the line.
        // Lines of JSON are dropped by pino where nobody reads.
        const { code = '' } = error as NodeJS.ErrnoException;
        if (!['EPIPE', 'EIO', 'EAGAIN'].includes(code)) throw error;
        gone = code !== 'EAGAIN';
      }
    },
  };
}

/**
 * Lines of JSON, or readable ones when `fd` is a terminal. Written synchronously: 2.4 µs a line, and what was said before a
 * SIGKILL is there.
 */
export function createLogger(options: { fd: number; readable: boolean; level?: string }): Logger {
  const stream = options.readable ? terminalStream(options.fd) : pino.destination({ fd: options.fd, sync: true });
  return pino({ level: options.level ?? 'info', base: { pid: process.pid } }, stream);
}
