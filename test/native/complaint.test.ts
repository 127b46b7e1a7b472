import { describe, expect, it } from 'vitest';
import { complaintIn } from '../../src/native/complaint.ts';

const REFUSAL = `libbpf: prog 'count_sends': BPF program load failed: Permission denied
libbpf: prog 'count_sends': -- BEGIN PROG LOAD LOG --
0: R1=ctx() R10=fp0
7: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
-- END PROG LOAD LOG --
libbpf: prog 'count_sends': failed to load: -13
libbpf: failed to load object 'sensor'
`;

describe('complaintIn()', () => {
  it('names the program that the kernel refused and the last word of its verifier', () => {
    expect(complaintIn(REFUSAL)).toBe(
      "the kernel refused program 'count_sends': R0 invalid mem access 'map_value_or_null'",
    );
  });

  it('names the program alone where there is no verifier log', () => {
    const withoutLog = "libbpf: prog 'count_sends': BPF program load failed: Operation not permitted\n";
    expect(complaintIn(withoutLog)).toBe("the kernel refused program 'count_sends'");
    expect(complaintIn(REFUSAL.replace(/(BEGIN PROG LOAD LOG --\n)[^]*(-- END)/, '$1$2'))).toBe(
      "the kernel refused program 'count_sends'",
    );
  });

  it('gives the first complaint where no program was refused', () => {
    const said = "libbpf: elf: failed to open x.o\nlibbpf: failed to load object 'x'\n";
    expect(complaintIn(said)).toBe('elf: failed to open x.o');
  });

  it('has nothing to say where nothing was said', () => {
    expect(complaintIn('')).toBeUndefined();
  });
});
