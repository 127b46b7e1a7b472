import { join } from 'node:path';
import { packageRoot } from '../../src/cli/package-root.ts';
import { findMock } from '../../src/sysfs/mock-file.ts';
import type { MockMachine } from '../../src/sysfs/mock-machine.ts';

export const MOCK_DIRECTORY = join(packageRoot(), 'sysfs-mocks');

export const shippedMock = (name: string): MockMachine => findMock(name, MOCK_DIRECTORY);
