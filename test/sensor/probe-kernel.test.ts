import { constants, release } from 'node:os';
import { describe, expect, it } from 'vitest';
import { NativeError } from '../../src/native/native-error.ts';
import { explainRefusal } from '../../src/sensor/probe-kernel.ts';
import { PROBE_METHODS } from '../../src/sensor/probe-methods.ts';

const [tracepoint, fentry] = PROBE_METHODS as [(typeof PROBE_METHODS)[0], (typeof PROBE_METHODS)[0]];
const refusal = (errno: number) => new NativeError("load BPF object 'turns'", errno);

describe('explainRefusal()', () => {
  it('names the capabilities that are missing, and to root what else it may be', () => {
    const cause = refusal(constants.errno.EPERM);
    expect(explainRefusal(cause, tracepoint, false)).toMatchObject({
      code: 'not-root',
      message:
        "load the probes: the kernel does not permit method 'tracepoint': run as root, or with CAP_BPF and CAP_PERFMON",
      cause,
    });
    expect(explainRefusal(cause, fentry, true)).toMatchObject({
      code: 'not-root',
      message: expect.stringMatching(/'fentry', though this is root: it is locked down, or withholds/) as unknown,
    });
  });

  it('says what the method needs where the kernel refuses for another reason', () => {
    const cause = refusal(constants.errno.EINVAL);
    expect(explainRefusal(cause, fentry)).toMatchObject({
      code: 'bpf-refused',
      message: `${cause.message}; method 'fentry' needs Linux 5.13 or later, on arm64 6.0, this is Linux ${release()}`,
      cause,
    });
  });

  it('leaves what is no refusal alone', () => {
    const error = new RangeError('something else');
    expect(explainRefusal(error, fentry)).toBe(error);
  });
});
