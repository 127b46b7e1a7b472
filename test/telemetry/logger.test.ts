import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../../src/telemetry/logger.ts';

function logged(readable: boolean, write: (log: ReturnType<typeof createLogger>) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'tailgov-log-'));
  const fd = openSync(join(folder, 'log'), 'w');
  write(createLogger({ fd, readable }));
  // Read before the descriptor is closed: what was logged must be on its way already.
  const text = readFileSync(join(folder, 'log'), 'utf8');
  closeSync(fd);
  rmSync(folder, { recursive: true });
  return text;
}

describe('createLogger()', () => {
  it('writes a line of JSON at once', () => {
    const line = JSON.parse(logged(false, (log) => log.warn({ control: 'policy0' }, 'refused'))) as object;
    expect(line).toMatchObject({ level: 40, msg: 'refused', control: 'policy0', pid: process.pid });
  });

  it('writes for people on a terminal: time, level where it matters, message, data', () => {
    const text = logged(true, (log) => {
      log.info('governing');
      log.error({ control: 'policy0' }, 'could not restore');
    });
    expect(text).toMatch(/^\d\d:\d\d:\d\d governing\n\d\d:\d\d:\d\d error: could not restore control="policy0"\n$/);
  });
});

describe('a terminal that takes nothing for a while', () => {
  it('loses the lines of that time, and no more', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tailgov-log-'));
    const fifo = join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    // A terminal that another program has left in this mode.
    const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    try {
      const full = () => {
        for (;;) writeSync(fd, 'x'.repeat(4096));
      };
      expect(full).toThrow('EAGAIN');
      const log = createLogger({ fd, readable: true });
      expect(() => log.warn('unheard')).not.toThrow();
      const buffer = Buffer.alloc(2 ** 20);
      readSync(fd, buffer);
      log.info('heard');
      expect(buffer.toString('utf8', 0, readSync(fd, buffer))).toMatch(/^\d\d:\d\d:\d\d heard\n$/);
    } finally {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a log that nobody reads any more', () => {
  it.each([true, false])('throws nothing away but its lines (readable: %s)', (readable) => {
    const folder = mkdtempSync(join(tmpdir(), 'tailgov-log-'));
    try {
      const fifo = join(folder, 'fifo');
      execFileSync('mkfifo', [fifo]);
      const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
      const fd = openSync(fifo, 'w');
      const log = createLogger({ fd, readable });
      log.info('heard');
      closeSync(reader);
      for (let line = 0; line < 3; line++) expect(() => log.warn('unheard')).not.toThrow();
      closeSync(fd);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
