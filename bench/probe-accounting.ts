import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BpfObject } from '../src/native/libbpf.ts';
import { chooseMethodHere } from '../src/sensor/probe-kernel.ts';
import type { Probe, ProbeMethod } from '../src/sensor/probe-methods.ts';
import { compileBpf } from '../test/kernel/support/build-bpf.ts';

const STATS = '/proc/sys/kernel/bpf_stats_enabled';

/** What was opened on the probes of a method. */
export interface Opened {
  close(): void;
}

/** What the probes of a method took in a run, all together, in ns: with the cost of accounting itself, and without. */
export interface Account {
  readonly grossNs: number;
  readonly netNs: number;
}

export interface MethodAccount extends Account {
  readonly programs: readonly ProgramAccount[];
}

/** Of one program, net, in a run. */
export interface ProgramAccount {
  readonly program: string;
  readonly runs: number;
  readonly netNs: number;
}

interface ProgramStats {
  readonly id: number;
  readonly name?: string;
  readonly run_time_ns?: number;
  readonly run_cnt?: number;
}

/** @returns what puts the setting back */
function startAccounting(): () => void {
  const before = readFileSync(STATS, 'utf8');
  writeFileSync(STATS, '1');
  return () => writeFileSync(STATS, before);
}

function totalsOf(ids: ReadonlySet<number>): { readonly ns: number; readonly runs: number } {
  const of = programs().filter(({ id }) => ids.has(id));
  return {
    ns: of.reduce((sum, { run_time_ns }) => sum + (run_time_ns ?? 0), 0),
    runs: of.reduce((sum, { run_cnt }) => sum + (run_cnt ?? 0), 0),
  };
}

/**
 * The kernel's own accounting of the time that probes take (kernel.bpf_stats_enabled). Programs that return at once are
 * attached to the same places beside them: what the accounting shows for those, in the same run and over the same events, is
 * subtracted, and what is left is what the probes' own instructions take.
 */
export class ProbeAccounting {
  readonly method: ProbeMethod['name'];
  readonly #programs: readonly string[];
  readonly #emptyObject: string;
  readonly #scratch = mkdtempSync(join(tmpdir(), 'tailgov-accounting-'));

  /** @throws SensorError where the method does not work here */
  constructor(name: ProbeMethod['name']) {
    const usable = chooseMethodHere(name).probes.filter(({ at }) => at !== 'inet_sendpage');
    this.method = name;
    this.#programs = usable.map(({ program }) => program);
    this.#emptyObject = compileEmpty(this.#scratch, usable);
  }

  /** Accounting is on while `load` runs. */
  measure(open: () => Opened, load: () => void): MethodAccount {
    const opened: Opened[] = [];
    const stop = startAccounting();
    try {
      const ours = newPrograms(() => opened.push(open()));
      const floor = newPrograms(() => opened.push(this.#openEmpty()));
      load();
      const after = programs();
      const found = (ids: ReadonlySet<number>, program: string) =>
        after.find(({ id, name }) => ids.has(id) && program.startsWith(name ?? '?'));
      const tookNs = (ids: ReadonlySet<number>, program: string) => found(ids, program)?.run_time_ns ?? 0;
      const accounts = this.#programs.map((program) => ({
        program,
        runs: found(ours, program)?.run_cnt ?? 0,
        netNs: tookNs(ours, program) - tookNs(floor, program),
      }));
      return {
        grossNs: this.#programs.reduce((sum, program) => sum + tookNs(ours, program), 0),
        netNs: accounts.reduce((sum, { netNs }) => sum + netNs, 0),
        programs: accounts,
      };
    } finally {
      for (const each of opened.reverse()) each.close();
      stop();
    }
  }

  /**
   * The same of programs that somebody else attaches, wherever: what an empty program takes at its place is not known, so what
   * one takes at ours is subtracted for each of their runs.
   */
  async measureForeign(attach: () => Promise<unknown>, load: () => Promise<void>): Promise<Account> {
    const stop = startAccounting();
    const known = new Set(programs().map(({ id }) => id));
    let empty: Opened | undefined;
    try {
      await attach();
      const theirs = new Set(programs().flatMap(({ id }) => (known.has(id) ? [] : [id])));
      const floor = newPrograms(() => (empty = this.#openEmpty()));
      const before = totalsOf(theirs);
      await load();
      const [after, floorTotals] = [totalsOf(theirs), totalsOf(floor)];
      const grossNs = after.ns - before.ns;
      return { grossNs, netNs: grossNs - (after.runs - before.runs) * (floorTotals.ns / floorTotals.runs) };
    } finally {
      empty?.close();
      stop();
    }
  }

  remove(): void {
    rmSync(this.#scratch, { recursive: true, force: true });
  }

  #openEmpty(): Opened {
    const object = BpfObject.open(this.#emptyObject);
    object.load();
    for (const program of this.#programs) object.attach(program);
    return object;
  }
}

function compileEmpty(scratch: string, probes: readonly Probe[]): string {
  const place = ({ program, kind, at }: Probe) =>
    `${kind === 'tracepoint' ? 'tp_btf' : program.endsWith('data_ready') ? 'fentry' : 'fexit'}/${at}`;
  const empty = probes.map((probe) => `SEC("${place(probe)}") int ${probe.program}(void *ctx) { return 0; }`);
  const licence = 'char LICENSE[] SEC("license") = "Dual BSD/GPL";';
  const source = join(scratch, 'empty.bpf.c');
  const object = join(scratch, 'empty.bpf.o');
  writeFileSync(source, ['#include "kernel-types.h"', '#include <bpf/bpf_helpers.h>', licence, ...empty].join('\n'));
  compileBpf(source, object);
  return object;
}

/** The ids of the programs that were loaded meanwhile. */
function newPrograms(open: () => unknown): ReadonlySet<number> {
  const known = new Set(programs().map(({ id }) => id));
  open();
  return new Set(programs().flatMap(({ id }) => (known.has(id) ? [] : [id])));
}

function programs(): readonly ProgramStats[] {
  return JSON.parse(execFileSync('bpftool', ['prog', 'show', '-j'], { encoding: 'utf8' })) as ProgramStats[];
}
