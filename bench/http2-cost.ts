/**
 * What counting HTTP/2 by stream costs: `npx tsx bench/http2-cost.ts [ROUNDS] [REQUESTS]`, as root.
 *
 * nghttpd serves a file of ten bytes to h2load, with one stream a connection at a time, where each read and each send
 * brings one, and with 100 in flight on one connection, where they come many at a time. Per load:
 *   by stream     net time in the probes a request, see probe-accounting.ts
 *   by turn       the same without a look at frames; of 100 in flight many requests make one turn
 *   other port    the same for a server that is no target
 *   throughput    with the sensor, as a share of that with nothing attached, in turns and without the accounting
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Protocol } from '../src/core/sensor.ts';
import { openSensor } from '../src/sensor/open-sensor.ts';
import { chooseMethodHere } from '../src/sensor/probe-kernel.ts';
import { buildBpf } from '../test/kernel/support/build-bpf.ts';
import { startNghttpd } from '../test/kernel/support/servers.ts';
import { summaryOf } from './overhead/spread.ts';
import { type Opened, ProbeAccounting } from './probe-accounting.ts';

const UNUSED_PORT = 17_936;
const rounds = Number(process.argv[2] ?? 5);
const requests = Number(process.argv[3] ?? 100_000);
const LOADS = [
  { name: 'one stream a call', connections: 7, streams: 1 },
  { name: '100 in flight', connections: 1, streams: 100 },
];
type Load = (typeof LOADS)[number];

const files = mkdtempSync(join(tmpdir(), 'tailgov-bench-'));
writeFileSync(join(files, 'file'), '0123456789');
const bpf = buildBpf();
const server = await startNghttpd(files);
const accounting = new ProbeAccounting(chooseMethodHere('auto').method.name);
try {
  console.log(
    `method ${accounting.method}; ${rounds} rounds of ${requests} requests; medians, first to third quartile`,
  );
  for (const load of LOADS) {
    runLoad(load);
    const measured = Array.from({ length: rounds }, (_, round) => measure(load, round % 2 === 0));
    const show = (what: string, value: (round: Round) => number, digits: number) =>
      console.log(`${load.name}: ${what} ${summaryOf(measured.map(value), digits)}`);
    show('by stream, net ns a request', ({ byStreamNs }) => byStreamNs, 0);
    show('by turn, net ns a request', ({ byTurnNs }) => byTurnNs, 0);
    show('other port, net ns a request', ({ otherPortNs }) => otherPortNs, 0);
    show('requests/s with nothing', ({ nothingRps }) => nothingRps, 0);
    show('throughput with the sensor, of that', ({ nothingRps, sensorRps }) => sensorRps / nothingRps, 4);
  }
} finally {
  await server.stop();
  accounting.remove();
  bpf.remove();
  rmSync(files, { recursive: true });
}

interface Round {
  readonly byStreamNs: number;
  readonly byTurnNs: number;
  readonly otherPortNs: number;
  readonly nothingRps: number;
  readonly sensorRps: number;
}

function openOn(port: number, protocol: Protocol = 'auto') {
  return openSensor({ targets: [{ name: 'bench', ports: [port], protocol }], objectDirectory: bpf.directory });
}

function measure(load: Load, nothingFirst: boolean): Round {
  const netNs = (open: () => Opened) => accounting.measure(open, () => runLoad(load)).netNs / requests;
  const withSensor = () => {
    const sensor = openOn(server.port);
    const rps = runLoad(load);
    sensor.close();
    return rps;
  };
  const before = nothingFirst ? runLoad(load) : undefined;
  const sensorRps = withSensor();
  return {
    sensorRps,
    nothingRps: before ?? runLoad(load),
    byStreamNs: netNs(() => openOn(server.port, 'http2')),
    byTurnNs: netNs(() => openOn(server.port, 'turns')),
    otherPortNs: netNs(() => openOn(UNUSED_PORT)),
  };
}

/** @returns requests a second */
function runLoad({ connections, streams }: Load): number {
  const counts = ['-n', `${requests}`, '-c', `${connections}`, '-m', `${streams}`];
  const start = performance.now();
  const output = execFileSync('h2load', [...counts, `http://127.0.0.1:${server.port}/file`], { encoding: 'utf8' });
  if (!output.includes(`${requests} succeeded`)) throw new Error(`h2load did not succeed:\n${output}`);
  return requests / ((performance.now() - start) / 1000);
}
