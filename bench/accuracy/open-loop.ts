import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export type Protocol = 'redis' | 'memcached' | 'http' | 'http-close' | 'dns' | 'grpc';

/** What a client saw of one run. Times in ns, ascending. */
export interface ClientView {
  readonly requests: number;
  /** What the server is asked besides, which has no times here; none where not given. */
  readonly turnsBesides?: number;
  readonly unanswered: number;
  readonly seconds: number;
  /** Share of the run in which the client itself was at work; null where it does not say. */
  readonly busyRatio: number | null;
  /** From the write of a request to the last byte of its reply. */
  readonly fromWriteNs: Float64Array;
  /** From the instant at which it was to be sent. */
  readonly fromDueNs: Float64Array;
}

export interface LoadPlan {
  /** Requests a second; 0: each connection as fast as the server answers. */
  readonly rate: number;
  readonly seconds: number;
  readonly seed: number;
}

/** It waits five seconds for the last replies. */
const PATIENCE_MS = 30_000;

/** The client of bench/load/open-loop.c, compiled. */
export class OpenLoopClient {
  readonly #directory = mkdtempSync(join(tmpdir(), 'tailgov-open-loop-'));
  readonly #program: string;

  /** @param program where it is compiled already */
  constructor(program?: string) {
    this.#program = program ?? compileClient(join(this.#directory, 'open-loop'));
  }

  /** @param cpu the one that the client has to itself, for it spins */
  async run(
    to: {
      readonly protocol: Protocol;
      /** A port of 127.0.0.1, or the path of a Unix-domain socket. */
      readonly at: number | string;
      /** Of gRPC: streams in flight at most, on one connection. */
      readonly connections: number;
      readonly argument?: string;
    },
    plan: LoadPlan,
    cpu: number,
  ): Promise<ClientView> {
    const file = join(this.#directory, 'records');
    const { protocol, at, connections, argument } = to;
    const numbers = [typeof at === 'number' ? at : 0, plan.rate, plan.seconds, connections, plan.seed].map(String);
    const command = [
      this.#program,
      protocol,
      typeof at === 'number' ? '127.0.0.1' : at,
      ...numbers,
      file,
      ...(argument === undefined ? [] : [argument]),
    ];
    const timeout = Math.ceil(plan.seconds * 1000) + PATIENCE_MS;
    const { stdout } = await promisify(execFile)('taskset', ['-c', String(cpu), ...command], {
      timeout,
      killSignal: 'SIGKILL',
    });
    const said = JSON.parse(stdout) as { requests: number; unanswered: number; seconds: number; busyRatio: number };
    return { ...said, ...timesOf(readFileSync(file)) };
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** @returns the program's file */
export function compileClient(program: string): string {
  const source = fileURLToPath(new URL('../load/open-loop.c', import.meta.url));
  execFileSync('clang', ['-O2', '-Wall', '-Werror', '-D_GNU_SOURCE', source, '-o', program, '-lm']);
  return program;
}

/** Records of three u64: due, written, done. */
function timesOf(bytes: Uint8Array): Pick<ClientView, 'fromWriteNs' | 'fromDueNs'> {
  const words = new BigUint64Array(new Uint8Array(bytes).buffer);
  const fromWriteNs = new Float64Array(words.length / 3);
  const fromDueNs = new Float64Array(words.length / 3);
  for (let i = 0; i < fromWriteNs.length; i++) {
    fromDueNs[i] = Number(words[3 * i + 2]! - words[3 * i]!);
    fromWriteNs[i] = Number(words[3 * i + 2]! - words[3 * i + 1]!);
  }
  return { fromWriteNs: fromWriteNs.sort(), fromDueNs: fromDueNs.sort() };
}

/** The smallest of the ascending values that a share of them does not exceed; NaN of none. */
export function quantileOf(ascending: Float64Array, share: number): number {
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? Number.NaN;
}
