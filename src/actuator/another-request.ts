/**
 * A request next to the one that is meant. A request that stands already changes nothing, also where the file shows something
 * else: amd-pstate hides a range when boost is switched (Linux 6.1), and a preference when its CPU was away (Linux 6.12). One in
 * between makes the kernel look again. @returns null for files that show what was asked
 */
export function anotherThan(file: string, text: string): string | null {
  switch (file) {
    case 'scaling_max_freq':
      return String(Number(text) + 1);
    case 'scaling_min_freq':
      return String(Number(text) - 1);
    case 'energy_performance_preference':
      return text === 'performance' ? 'balance_performance' : 'performance';
    default:
      return null;
  }
}
