import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/core/errors.ts';
import { RecordingFile } from '../../src/sensor/recording-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'tailgov-recording-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('RecordingFile', () => {
  it('holds whole lines up to its limit, and the last line even then', () => {
    const name = join(directory, 'limited');
    const file = new RecordingFile(name, 10);
    expect(file.add('1234\n')).toBe(true);
    expect(file.ended).toBeNull();
    expect(file.add('123456\n')).toBe(false);
    expect(file.ended).toBe('limit');
    expect(file.add('1\n')).toBe(false);
    file.flush('end\n');
    file.close();
    expect(readFileSync(name, 'latin1')).toBe('1234\nend\n');
  });

  it('writes as it goes, so that what was recorded long ago outlives us', () => {
    const name = join(directory, 'long');
    const file = new RecordingFile(name, 1e9);
    for (let line = 0; line < 20_000; line++) file.add('0123456789\n');
    expect(readFileSync(name).length).toBeGreaterThan(100_000);
    file.close();
  });

  it('says that the disk is full, once, and writes nothing more', () => {
    if (!existsSync('/dev/full')) return;
    const file = new RecordingFile('/dev/full', 1e9);
    expect(file.add('line\n')).toBe(true);
    file.flush();
    expect(String(file.ended)).toContain('ENOSPC');
    expect(file.add('line\n')).toBe(false);
    file.close();
  });

  it('tells at once where a file cannot be', () => {
    expect(() => new RecordingFile(join(directory, 'none', 'there'), 1)).toThrow(UsageError);
  });
});
