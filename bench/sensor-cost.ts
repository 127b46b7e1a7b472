/**
 * What the sensor costs the server that it watches: `npx tsx bench/sensor-cost.ts [ROUNDS] [REQUESTS]`, as root.
 *
 * A Redis is saturated by redis-benchmark (50 connections, one GET at a time), while the kernel's own accounting
 * (kernel.bpf_stats_enabled) sums the time spent in the probes. Of each method that this kernel has, two things are
 * measured in turn, several rounds of each, the order changing from round to round:
 *   target      the sensor, observing this Redis
 *   other port  the sensor, observing a port that nothing uses: the cost to sockets that are no target
 * Where there are two CPUs, client and server have one each: then requests arrive on another CPU than the server's, as they
 * mostly do, and what that costs does not depend on how busy the machine is.
 * Programs that return at once are attached to the same places beside them. What the accounting shows for those, in the
 * same run and over the same events, is subtracted: net is what the sensor's own instructions take.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SensorError } from '../src/core/errors.ts';
import { openSensor } from '../src/sensor/open-sensor.ts';
import { PROBE_METHODS, type ProbeMethod } from '../src/sensor/probe-methods.ts';
import { buildBpf } from '../test/kernel/support/build-bpf.ts';
import { type ProgramAccount, ProbeAccounting } from './probe-accounting.ts';

const PORT = 17_933;
const UNUSED_PORT = 17_934;
const rounds = Number(process.argv[2] ?? 5);
const requests = Number(process.argv[3] ?? 200_000);

const scratch = mkdtempSync(join(tmpdir(), 'tailgov-bench-'));
const bpf = buildBpf();
const onCpu = (cpu: number) => (availableParallelism() > 1 ? ['taskset', '-c', `${cpu}`] : ['env']);
const [serverCommand, ...serverArgs] = [...onCpu(1), 'redis-server'] as const;
const redis = spawn(serverCommand, [...serverArgs, '--port', `${PORT}`, '--save', '', '--dir', scratch], {
  stdio: 'ignore',
});
const accounts = PROBE_METHODS.map(accountingHere).filter((accounting) => accounting !== undefined);
try {
  await sleep(500);
  const variants = accounts.flatMap((accounting) => [
    { name: `${accounting.method}, target`, accounting, port: PORT },
    { name: `${accounting.method}, other port`, accounting, port: UNUSED_PORT },
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
  redis.kill();
  for (const accounting of accounts) accounting.remove();
  bpf.remove();
  rmSync(scratch, { recursive: true, force: true });
}

interface Round {
  readonly requestsPerSecond: number;
  /** Of all probes together, a request, in ns. */
  readonly grossNs: number;
  readonly netNs: number;
  /** A request, of each program. */
  readonly programs: readonly ProgramAccount[];
}

/** Of a method that works here, or undefined. */
function accountingHere({ name }: ProbeMethod): ProbeAccounting | undefined {
  try {
    openOn(name, UNUSED_PORT).close();
    return new ProbeAccounting(name);
  } catch (error) {
    if (!(error instanceof SensorError)) throw error;
    console.log(`left out: ${error.message}`);
    return undefined;
  }
}

function openOn(method: ProbeMethod['name'], port: number): { close(): void } {
  const targets = [{ name: 'bench', ports: [port], sloLatencyNs: 1_000_000 }];
  return openSensor({ targets, method, objectDirectory: bpf.directory });
}

function measure({ accounting, port }: { readonly accounting: ProbeAccounting; readonly port: number }): Round {
  let seconds = 0;
  const { grossNs, netNs, programs } = accounting.measure(
    () => openOn(accounting.method, port),
    () => (seconds = runLoad()),
  );
  return {
    requestsPerSecond: requests / seconds,
    grossNs: grossNs / requests,
    netNs: netNs / requests,
    programs: programs.map(({ program, runs, netNs: ns }) => ({
      program,
      runs: runs / requests,
      netNs: ns / requests,
    })),
  };
}

/** @returns how long it took, in seconds */
function runLoad(): number {
  const start = performance.now();
  const [command, ...args] = [...onCpu(0), 'redis-benchmark'] as const;
  execFileSync(command, [...args, '-p', `${PORT}`, '-n', `${requests}`, '-c', '50', '-t', 'get', '-q'], {
    stdio: 'ignore',
  });
  return (performance.now() - start) / 1000;
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
  for (const [name, measured] of results) console.log(`${name}: ${describePrograms(measured)}`);
}

/** Such as `data_ready 2.0 runs 80 ns`: of each program, how often it runs a request, and what that takes in all. */
function describePrograms(measured: readonly Round[]): string {
  return measured[0]!.programs
    .map(({ program }, index) => {
      const of = measured.map(({ programs }) => programs[index]!);
      const runs = median(of.map((account) => account.runs));
      return runs < 0.1
        ? ''
        : `${program} ${runs.toFixed(1)} runs ${median(of.map(({ netNs }) => netNs)).toFixed(0)} ns`;
    })
    .filter((text) => text !== '')
    .join(', ');
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
