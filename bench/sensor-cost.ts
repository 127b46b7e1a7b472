/**
 * What the sensor costs the server that it watches: `npx tsx bench/sensor-cost.ts [ROUNDS] [REQUESTS]`, as root.
 *
 * A Redis is saturated by redis-benchmark (50 connections, one GET at a time), while the kernel's own accounting
 * (kernel.bpf_stats_enabled) sums the time spent in the probes. Of each method that this kernel has, two things are
 * measured in turn, several rounds of each, the order changing from round to round:
 *   target      the sensor, observing this Redis
 *   other port  the sensor, observing a port that nothing uses: the cost to sockets that are no target
 * Programs that return at once are attached to the same places beside them. What the accounting shows for those, in the
 * same run and over the same events, is subtracted: net is what the sensor's own instructions take.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SensorError } from '../src/core/errors.ts';
import { BpfObject } from '../src/native/libbpf.ts';
import { openSensor } from '../src/sensor/open-sensor.ts';
import { chooseMethodHere } from '../src/sensor/probe-kernel.ts';
import { type Probe, PROBE_METHODS, type ProbeMethod } from '../src/sensor/probe-methods.ts';
import { buildBpf, compileBpf } from '../test/kernel/support/build-bpf.ts';

const STATS = '/proc/sys/kernel/bpf_stats_enabled';
const PORT = 17_933;
const UNUSED_PORT = 17_934;
const rounds = Number(process.argv[2] ?? 5);
const requests = Number(process.argv[3] ?? 200_000);

interface ProgramStats {
  readonly id: number;
  readonly name?: string;
  readonly run_time_ns?: number;
  readonly run_cnt?: number;
}

const scratch = mkdtempSync(join(tmpdir(), 'tailgov-bench-'));
const bpf = buildBpf();
const statsBefore = readFileSync(STATS, 'utf8');
const redis = spawn('redis-server', ['--port', `${PORT}`, '--save', '', '--dir', scratch], { stdio: 'ignore' });
try {
  writeFileSync(STATS, '1');
  await sleep(500);
  const measured = PROBE_METHODS.map(probesHere).filter((method) => method !== undefined);
  const variants = measured.flatMap((method) => [
    { name: `${method.name}, target`, method, port: PORT },
    { name: `${method.name}, other port`, method, port: UNUSED_PORT },
  ]);
  const results = new Map(variants.map(({ name }): [string, Round[]] => [name, []]));
  runLoad();
  for (let round = 0; round < rounds; round++) {
    for (const variant of round % 2 === 0 ? variants : [...variants].reverse()) {
      results.get(variant.name)!.push(measure(variant));
    }
  }
  report(results);
} finally {
  writeFileSync(STATS, statsBefore);
  redis.kill();
  bpf.remove();
  rmSync(scratch, { recursive: true, force: true });
}

interface Measured {
  readonly name: ProbeMethod['name'];
  readonly programs: readonly string[];
  /** The object with its empty programs. */
  readonly emptyObject: string;
}

interface Round {
  readonly requestsPerSecond: number;
  /** Of all probes together, a request, in ns. */
  readonly grossNs: number;
  readonly netNs: number;
}

/** A method that works here, or undefined. */
function probesHere({ name }: ProbeMethod): Measured | undefined {
  try {
    const { probes } = chooseMethodHere(name);
    openOn(name, UNUSED_PORT).close();
    const usable = probes.filter(({ at }) => at !== 'inet_sendpage');
    return { name, programs: usable.map(({ program }) => program), emptyObject: compileEmpty(name, usable) };
  } catch (error) {
    if (!(error instanceof SensorError)) throw error;
    console.log(`left out: ${error.message}`);
    return undefined;
  }
}

/** Programs that return at once, where the method has its own. */
function compileEmpty(name: string, probes: readonly Probe[]): string {
  const place = ({ program, kind, at }: Probe) =>
    `${kind === 'tracepoint' ? 'tp_btf' : program.endsWith('data_ready') ? 'fentry' : 'fexit'}/${at}`;
  const programs = probes.map((probe) => `SEC("${place(probe)}") int ${probe.program}(void *ctx) { return 0; }`);
  const source = join(scratch, `${name}.bpf.c`);
  const licence = 'char LICENSE[] SEC("license") = "Dual BSD/GPL";';
  writeFileSync(source, ['#include "kernel-types.h"', '#include <bpf/bpf_helpers.h>', licence, ...programs].join('\n'));
  compileBpf(source, join(scratch, `${name}.bpf.o`));
  return join(scratch, `${name}.bpf.o`);
}

function openEmpty({ emptyObject, programs }: Measured): { close(): void } {
  const object = BpfObject.open(emptyObject);
  object.load();
  for (const program of programs) object.attach(program);
  return object;
}

function openOn(method: ProbeMethod['name'], port: number): { close(): void } {
  const targets = [{ name: 'bench', ports: [port], sloLatencyNs: 1_000_000 }];
  return openSensor({ targets, method, objectDirectory: bpf.directory });
}

function measure({ method, port }: { readonly method: Measured; readonly port: number }): Round {
  const [sensor, ours] = withNewPrograms(() => openOn(method.name, port));
  const [empty, floor] = withNewPrograms(() => openEmpty(method));
  try {
    const seconds = runLoad();
    const after = programs();
    const perRequestNs = (ids: ReadonlySet<number>) =>
      after
        .filter(({ id, name }) => ids.has(id) && method.programs.some((program) => program.startsWith(name ?? '?')))
        .reduce((sum, { run_time_ns }) => sum + (run_time_ns ?? 0), 0) / requests;
    const grossNs = perRequestNs(ours);
    return { requestsPerSecond: requests / seconds, grossNs, netNs: grossNs - perRequestNs(floor) };
  } finally {
    empty.close();
    sensor.close();
  }
}

/** @returns what was opened, and the ids of the programs that were loaded for it */
function withNewPrograms<Opened>(open: () => Opened): readonly [Opened, ReadonlySet<number>] {
  const known = new Set(programs().map(({ id }) => id));
  const opened = open();
  return [opened, new Set(programs().flatMap(({ id }) => (known.has(id) ? [] : [id])))];
}

/** @returns how long it took, in seconds */
function runLoad(): number {
  const start = performance.now();
  execFileSync('redis-benchmark', ['-p', `${PORT}`, '-n', `${requests}`, '-c', '50', '-t', 'get', '-q'], {
    stdio: 'ignore',
  });
  return (performance.now() - start) / 1000;
}

function programs(): readonly ProgramStats[] {
  return JSON.parse(execFileSync('bpftool', ['prog', 'show', '-j'], { encoding: 'utf8' })) as ProgramStats[];
}

function report(results: ReadonlyMap<string, readonly Round[]>): void {
  const header = ['attached', 'net a request', 'spread', 'gross', 'requests/s'];
  const rows = [...results].map(([name, measured]) => {
    const net = measured.map(({ netNs }) => netNs);
    return [
      name,
      `${median(net).toFixed(0)} ns`,
      `${Math.min(...net).toFixed(0)} to ${Math.max(...net).toFixed(0)}`,
      `${median(measured.map(({ grossNs }) => grossNs)).toFixed(0)} ns`,
      median(measured.map(({ requestsPerSecond }) => requestsPerSecond)).toFixed(0),
    ];
  });
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  console.log(`${rounds} rounds of ${requests} requests; medians; net of empty programs in the same run`);
  for (const row of [header, ...rows]) {
    console.log(row.map((cell, column) => cell.padStart(widths[column]!)).join('  '));
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
