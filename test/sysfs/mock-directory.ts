import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeMock } from '../../src/sysfs/mock-file.ts';
import type { MockMachine } from '../../src/sysfs/mock-machine.ts';

/** A mock on disk, and a folder beside it; gone when disposed of. */
export function mockDirectory(mock: MockMachine) {
  const root = mkdtempSync(join(tmpdir(), 'tailgov-sysfs-'));
  writeMock(mock, join(root, 'sys'));
  return { sysfs: join(root, 'sys'), beside: root, remove: () => rmSync(root, { recursive: true, force: true }) };
}
