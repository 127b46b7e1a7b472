import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MethodChoice } from '../../src/sensor/probe-methods.ts';
import { buildBpf, type BuiltBpf } from './support/build-bpf.ts';
import { driveSocketCase } from './support/drive-socket-case.ts';
import { UNIX_CASES } from './support/socket-cases.ts';

let bpf: BuiltBpf;
beforeAll(() => void (bpf = buildBpf()));
afterAll(() => bpf.remove());

describe.each<MethodChoice>(['auto', 'syscall'])('method %s counts on a Unix-domain socket', (method) => {
  it.each(UNIX_CASES)('$name', async (each) => {
    const { steps } = await driveSocketCase(each, bpf.directory, method);
    for (const { what, counted, expected } of steps) expect(counted, what).toEqual(expected);
  });
});
