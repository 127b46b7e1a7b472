import { describe, expect, it } from 'vitest';
import { claimCpu, type Scheduling } from '../../src/daemon/claim-cpu.ts';

/** @param refused what the kernel does not permit */
function claim(scheduling: Scheduling, refused: readonly string[]) {
  const tried: string[] = [];
  const said: string[] = [];
  const setter = (name: string) => (tid: number, value: number) => {
    tried.push(`${name} ${tid} ${value}`);
    if (refused.includes(name)) throw new Error(`${name}: EPERM`);
  };
  const log = (level: string, message: string) => void said.push(`${level}: ${message}`);
  const got = claimCpu(scheduling, log, { setFifo: setter('fifo'), setNice: setter('nice') });
  return { got, tried, said };
}

describe('claimCpu()', () => {
  it('takes the lowest real-time priority where it may', () => {
    expect(claim('auto', [])).toEqual({ got: 'fifo', tried: ['fifo 0 1'], said: [] });
  });

  it('does with less where it may not, and says so', () => {
    const { got, tried, said } = claim('auto', ['fifo']);
    expect([got, tried]).toEqual(['nice', ['fifo 0 1', 'nice 0 -20']]);
    expect(said).toEqual([expect.stringMatching(/^info: fifo: EPERM.*CAP_SYS_NICE/)]);
    expect(claim('auto', ['fifo', 'nice'])).toMatchObject({ got: 'normal', said: { length: 2 } });
  });

  it('warns where what was asked for is refused, and takes nothing else', () => {
    expect(claim('fifo', ['fifo'])).toMatchObject({
      got: 'normal',
      tried: ['fifo 0 1'],
      said: [expect.stringMatching(/^warn: /)],
    });
    expect(claim('nice', [])).toMatchObject({ got: 'nice', tried: ['nice 0 -20'] });
    expect(claim('normal', [])).toEqual({ got: 'normal', tried: [], said: [] });
  });
});
