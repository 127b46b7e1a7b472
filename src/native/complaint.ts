/**
 * The gist of what libbpf said when something failed: the program that the kernel refused with the verifier's last word,
 * or else libbpf's first complaint. Undefined when it said nothing.
 */
export function complaintIn(said: string): string | undefined {
  const program = /^libbpf: prog '([^']+)': BPF program load failed/m.exec(said)?.[1];
  if (program === undefined) return /^libbpf: (.+)$/m.exec(said)?.[1];
  const log = /-- BEGIN PROG LOAD LOG --\n([\s\S]*?)-- END PROG LOAD LOG --/.exec(said)?.[1] ?? '';
  const lastWord = log
    .split('\n')
    .map((line) => line.trim())
    .findLast((line) => line !== '' && !/^processed \d+ insns/.test(line));
  return `the kernel refused program '${program}'` + (lastWord === undefined ? '' : `: ${lastWord}`);
}
