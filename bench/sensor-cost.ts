/**
 * What the sensor costs the server that it watches: `npx tsx bench/sensor-cost.ts [ROUNDS] [REQUESTS]`, as root.
 *
 * A Redis is saturated by redis-benchmark (50 connections, one GET at a time), while the kernel's own accounting
 * (kernel.bpf_stats_enabled) sums the time spent in the probes. Three things are attached in turn, several rounds of each:
 *   empty       programs that return at once: what the accounting itself shows, which is subtracted from the others
 *   other port  the sensor, observing a port that nothing uses: the cost to sockets that are no target
 *   target      the sensor, observing this Redis
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BpfObject } from '../src/native/libbpf.ts';
import { openSensor } from '../src/sensor/open-sensor.ts';
import { buildBpf, compileBpf } from '../test/kernel/support/build-bpf.ts';

const STATS = '/proc/sys/kernel/bpf_stats_enabled';
const PORT = 17_933;
const UNUSED_PORT = 17_934;
const rounds = Number(process.argv[2] ?? 5);
const requests = Number(process.argv[3] ?? 200_000);

const EMPTY_SOURCE = `
#include "kernel-types.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual BSD/GPL";
SEC("tp_btf/sk_data_ready") int data_ready(void *ctx) { return 0; }
SEC("tp_btf/sock_recv_length") int read_returned(void *ctx) { return 0; }
SEC("tp_btf/sock_send_length") int send_returned(void *ctx) { return 0; }
SEC("tp_btf/inet_sock_set_state") int state_changed(void *ctx) { return 0; }
`;
const PROBES = ['data_ready', 'read_returned', 'send_returned', 'state_changed'] as const;

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
  const emptyObject = join(scratch, 'empty.bpf.o');
  writeFileSync(join(scratch, 'empty.bpf.c'), EMPTY_SOURCE);
  compileBpf(join(scratch, 'empty.bpf.c'), emptyObject);
  const variants: Readonly<Record<string, () => { close(): void }>> = {
    empty: () => openEmpty(emptyObject),
    'other port': () => openOn(UNUSED_PORT),
    target: () => openOn(PORT),
  };
  const results = new Map(Object.keys(variants).map((name): [string, Round[]] => [name, []]));
  runLoad();
  for (let round = 0; round < rounds; round++) {
    for (const [name, open] of Object.entries(variants)) results.get(name)!.push(measure(open));
  }
  report(results);
} finally {
  writeFileSync(STATS, statsBefore);
  redis.kill();
  bpf.remove();
  rmSync(scratch, { recursive: true, force: true });
}

interface Round {
  readonly requestsPerSecond: number;
  /** By probe: time a call, and of all probes together a request, in ns. */
  readonly perCallNs: readonly number[];
  readonly perRequestNs: number;
}

function openEmpty(file: string): { close(): void } {
  const object = BpfObject.open(file);
  object.load();
  for (const probe of PROBES) object.attach(probe);
  return object;
}

function openOn(port: number): { close(): void } {
  const targets = [{ name: 'bench', ports: [port], sloLatencyNs: 1_000_000 }];
  return openSensor({ targets, objectDirectory: bpf.directory });
}

function measure(open: () => { close(): void }): Round {
  const known = new Set(programs().map(({ id }) => id));
  const opened = open();
  try {
    const seconds = runLoad();
    const ours = programs().filter(({ id }) => !known.has(id));
    const of = (probe: string) => ours.find(({ name }) => name === probe);
    const totalNs = PROBES.reduce((sum, probe) => sum + (of(probe)?.run_time_ns ?? 0), 0);
    return {
      requestsPerSecond: requests / seconds,
      perCallNs: PROBES.map((probe) => (of(probe)?.run_time_ns ?? 0) / (of(probe)?.run_cnt ?? 1)),
      perRequestNs: totalNs / requests,
    };
  } finally {
    opened.close();
  }
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
  const floorNs = median(results.get('empty')!.map(({ perRequestNs }) => perRequestNs));
  const header = ['attached', 'a request', 'spread', 'net of empty', ...PROBES, 'requests/s'];
  const rows = [...results].map(([name, measured]) => {
    const perRequest = measured.map(({ perRequestNs }) => perRequestNs);
    return [
      name,
      `${median(perRequest).toFixed(0)} ns`,
      `${Math.min(...perRequest).toFixed(0)}–${Math.max(...perRequest).toFixed(0)}`,
      `${(median(perRequest) - floorNs).toFixed(0)} ns`,
      ...PROBES.map((_, index) => median(measured.map(({ perCallNs }) => perCallNs[index]!)).toFixed(0)),
      median(measured.map(({ requestsPerSecond }) => requestsPerSecond)).toFixed(0),
    ];
  });
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  console.log(`${rounds} rounds of ${requests} requests; medians; probes in ns a call`);
  for (const row of [header, ...rows]) {
    console.log(row.map((cell, column) => cell.padStart(widths[column]!)).join('  '));
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
