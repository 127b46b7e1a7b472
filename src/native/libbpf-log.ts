import koffi from 'koffi';
import { libbpf } from './libbpf-functions.ts';
import { libc } from './libc.ts';

export type LogLevel = 'warn' | 'info' | 'debug';
export type Log = (level: LogLevel, text: string) => void;

/** libbpf_print_fn_t; the last parameter is a va_list. */
const PRINT_FUNCTION = koffi.pointer(koffi.proto('int', ['int', 'void *', 'void *']));

/** enum libbpf_print_level */
const LEVELS: readonly LogLevel[] = ['warn', 'info', 'debug'];

/**
 * Runs a call into libbpf and catches what libbpf prints meanwhile: `said` holds its warnings, the kernel's verifier log
 * among them; `log`, where there is one, gets every line, after the call has returned.
 *
 * libbpf knows one print function a process and calls it on the thread that prints. So it is ours for the time of the
 * call alone, which also is why one thread of a process at a time may use libbpf.
 */
export function withLibbpfLog<T>(log: Log | undefined, call: () => T): { readonly result: T; readonly said: string } {
  const lines: { readonly level: LogLevel; readonly text: string }[] = [];
  const print = (levelNumber: number, format: bigint, args: bigint): number => {
    const level = LEVELS[levelNumber] ?? 'debug';
    if (level === 'warn' || log !== undefined) lines.push({ level, text: formatted(format, args) });
    return 0;
  };
  const registered = koffi.register(print, PRINT_FUNCTION);
  const previous = libbpf().libbpf_set_print(registered);
  let result: T;
  try {
    result = call();
  } finally {
    libbpf().libbpf_set_print(previous);
    koffi.unregister(registered);
  }
  for (const { level, text } of lines) log?.(level, text.trimEnd());
  const said = lines.filter(({ level }) => level === 'warn').map(({ text }) => text);
  return { result, said: said.join('') };
}

/** printf's work. A va_list travels as a pointer on x86-64, arm64 and riscv64 alike. */
function formatted(format: bigint, args: bigint): string {
  const out = new BigUint64Array(1);
  if (libc().vasprintf(out, format, args) < 0) return '(no memory for this message)\n';
  const address = out[0]!;
  try {
    return koffi.decode.string(address);
  } finally {
    libc().free(address);
  }
}
