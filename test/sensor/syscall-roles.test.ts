import { describe, expect, it } from 'vitest';
import { syscallRoles } from '../../src/sensor/syscall-roles.ts';

const READ = 1;
const SEND = 2;
const ACCEPT = 3;
const roleOf = (architecture: string, number: number) => syscallRoles(architecture)[number]! & 0xf;
const flagsAt = (architecture: string, number: number) => syscallRoles(architecture)[number]! >> 4;

describe('syscallRoles()', () => {
  it('tells reads from sends by the numbers of the architecture', () => {
    expect([0, 19, 45, 47, 299].map((number) => roleOf('x64', number))).toEqual(Array(5).fill(READ));
    expect([1, 20, 40, 44, 46, 307].map((number) => roleOf('x64', number))).toEqual(Array(6).fill(SEND));
    expect([63, 65, 207, 212, 243].map((number) => roleOf('arm64', number))).toEqual(Array(5).fill(READ));
    expect([64, 66, 71, 206, 211, 269].map((number) => roleOf('arm64', number))).toEqual(Array(6).fill(SEND));
  });

  it('knows the calls that accept', () => {
    expect([43, 288].map((number) => roleOf('x64', number))).toEqual([ACCEPT, ACCEPT]);
    expect([202, 242].map((number) => roleOf('arm64', number))).toEqual([ACCEPT, ACCEPT]);
  });

  it('gives every other call no role', () => {
    for (const architecture of ['x64', 'arm64']) {
      expect(syscallRoles(architecture).filter((role) => role !== 0)).toHaveLength(13);
    }
    expect(syscallRoles('riscv64').every((role) => role === 0)).toBe(true);
  });

  it('knows which argument holds the flags of a receive call', () => {
    expect([0, 45, 47, 299].map((number) => flagsAt('x64', number))).toEqual([0, 3, 2, 3]);
  });
});
