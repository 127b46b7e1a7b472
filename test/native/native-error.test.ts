import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { NativeError } from '../../src/native/native-error.ts';

describe('NativeError', () => {
  it('says what was tried, then what the system answered', () => {
    const error = new NativeError('open it', constants.errno.EACCES);
    expect(error.message).toBe('open it: EACCES (permission denied)');
    expect(error).toMatchObject({ name: 'NativeError', operation: 'open it', errno: 13, errnoName: 'EACCES' });
    expect(error.log).toBeUndefined();
    expect('cause' in error).toBe(false);
  });

  it('carries detail, log and cause', () => {
    const cause = new Error('why');
    const error = new NativeError('load it', constants.errno.EINVAL, { detail: 'R0 is bad', log: 'all of it', cause });
    expect(error.message).toBe('load it: EINVAL (invalid argument): R0 is bad');
    expect(error).toMatchObject({ log: 'all of it', cause });
  });

  it.each([
    [95, 'EOPNOTSUPP (operation not supported)'],
    [524, 'ENOTSUPP (operation not supported by the kernel)'],
    [4001, 'LIBBPF_ERRNO__FORMAT (not a BPF object)'],
    [999, 'E999 (unknown error)'],
  ])('names error %i', (errno, described) => {
    expect(new NativeError('try', errno).message).toBe(`try: ${described}`);
  });
});
