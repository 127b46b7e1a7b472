/** The files below /sys that one machine has, as far as the project looks at them. */
export interface MockMachine {
  /** The file's name without its ending: `acpi-cpufreq-epyc-7451-2s96c`. */
  readonly name: string;
  /** What machine it is, in words. */
  readonly machine: string;
  /** Where the values come from. */
  readonly source: string;
  /** `recorded`: a real machine's values. `described`: written by hand from documentation. */
  readonly status: 'recorded' | 'described';
  /** Text, without its last newline, by path relative to /sys. */
  readonly files: ReadonlyMap<string, string>;
}
