/** The sensor on a kernel that lacks the tracepoints: Linux 6.1, with fentry and with system calls alone. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileScriptedServer } from '../kernel/support/servers.ts';
import type { Finding } from '../../src/compose/diagnosis/finding.ts';
import { GUEST_CASES } from '../kernel/support/socket-cases.ts';
import { bootGuest } from './boot-guest.ts';
import { bundleForGuest } from './bundle-for-guest.ts';
import type { CaseReport, SenseJob, SenseReport } from './guest/sense-turns.ts';

const ROOT = join(import.meta.dirname, '../..');

let folder: string;
let report: SenseReport;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-sense-'));
  execFileSync(process.execPath, [join(ROOT, 'deploy/build.mjs'), 'bpf', 'bundle'], { stdio: 'pipe' });
  compileScriptedServer(join(folder, 'scripted-server'));
  await bundleForGuest(join(import.meta.dirname, 'guest/sense-turns.ts'), folder);
  const job: SenseJob = { objectDirectory: join(ROOT, 'dist/bpf'), program: join(ROOT, 'dist/cli.js') };
  writeFileSync(join(folder, 'job.json'), JSON.stringify(job));
  const { status, console } = await bootGuest({ folder, timeoutMs: 900_000 });
  if (status !== 0) throw new Error(`the guest's script ended with ${status}:\n${console}`);
  report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as SenseReport;
}, 960_000);

afterAll(() => rmSync(folder, { recursive: true }));

/** What the case has counted; nothing is dropped and nothing is lost in any of them. */
function caseOf(name: string): CaseReport {
  const found = report.cases[name]!;
  const { arrivals, requests, abandoned, dropped, inFlight } = found.counts;
  expect(arrivals).toBe(requests + abandoned + inFlight);
  expect(dropped).toBe(0);
  expect(found.latencyMs).toBeCloseTo(found.socketWaitMs + found.handlingMs, 6);
  return found;
}

describe('where the tracepoints are missing', () => {
  it('the sensor chooses fentry by itself, and observe says so', () => {
    expect(report.method).toBe('fentry');
    expect(JSON.parse(report.observed.trim().split('\n').at(-1)!)).toMatchObject({ method: 'fentry', unit: 'turn' });
  });

  it('the method tracepoint says what the kernel lacks', () => {
    expect(report.refusal).toMatch(
      /Linux 6\.1\.\S+ .*'tracepoint' needs tracepoint sk_data_ready, .*sock_send_length \(Linux 6\.3 or later\)/,
    );
  });
});

describe('method fentry counts exactly', () => {
  it.each([
    ['redis', 1009],
    ['nginx', 101],
    ['nginx, a large file to a slow client', 1],
    ['sendfile', 13],
    ['splice', 7],
    ['IPv6', 13],
    ['partial reads', 7],
    ['a look', 5],
    ['a late read', 5],
  ])('%s: %d requests', (name, requests) => {
    expect(caseOf(name).counts).toEqual({
      ...{ arrivals: requests, requests, inFlight: 0 },
      ...{ overSlo: 0, abandoned: 0, unsolicited: 0, dropped: 0 },
    });
  });

  it('gRPC over HTTP/2 by stream', () => {
    expect(report.streams).toEqual({
      ...{ unit: 'stream', arrivals: 307, requests: 307, firstResponses: 307, inFlight: 0, others: 0 },
      ...{ streamConnections: 3, turnConnections: 0, lostConnections: 0, abandoned: 0, dropped: 0, streaming: 0 },
    });
  });

  it('a further send extends its turn, and is unsolicited after the gap', () => {
    const { counts, latencyMs, longestMs } = caseOf('several sends');
    expect(counts).toMatchObject({ requests: 2, unsolicited: 2, inFlight: 0 });
    expect(latencyMs).toBeGreaterThanOrEqual(2 * 10);
    expect(longestMs).toBeLessThan(4000);
  });

  it.each(['abandoned by the client', 'reset by the server'])('%s', (name) => {
    expect(caseOf(name).counts).toMatchObject({ arrivals: 3, requests: 0, abandoned: 3, inFlight: 0 });
  });

  it('what is never answered is in flight and grows old', () => {
    const { counts, oldestInFlightMs } = caseOf('never answered');
    expect(counts).toMatchObject({ arrivals: 3, requests: 0, inFlight: 3 });
    expect(oldestInFlightMs).toBeGreaterThanOrEqual(1000);
  });
});

describe('method syscall, at the same time', () => {
  it.each([
    ['redis', 1009],
    ['nginx', 101],
    ['nginx, a large file to a slow client', 1],
    ['sendfile', 13],
    ['IPv6', 13],
    ['partial reads', 7],
    ['a look', 5],
    ['a late read', 5],
  ])('counts %s: %d requests, and no socket wait', (name, requests) => {
    const { counts, socketWaitMs, latencyMs, handlingMs } = report.syscallCases[name]!;
    expect(counts).toEqual({
      ...{ arrivals: requests, requests, inFlight: 0 },
      ...{ overSlo: 0, abandoned: 0, unsolicited: 0, dropped: 0 },
    });
    expect(socketWaitMs).toBe(0);
    expect(latencyMs).toBe(handlingMs);
  });

  it.each(['abandoned by the client', 'reset by the server'])('%s', (name) => {
    expect(report.syscallCases[name]!.counts).toMatchObject({ arrivals: 3, requests: 0, abandoned: 3, inFlight: 0 });
  });

  it('counts connections from accept to close', () => {
    expect(report.connections).toEqual({
      ...{ unit: 'connection', arrivals: 11, requests: 11, inFlight: 0 },
      ...{ overSlo: 0, abandoned: 0, unsolicited: 0, dropped: 0 },
    });
  });

  it('what is never answered is in flight', () => {
    expect(report.syscallCases['never answered']!.counts).toMatchObject({ arrivals: 3, requests: 0, inFlight: 3 });
  });
});

describe.each([
  ['auto', 'fentry'],
  ['syscall', 'syscall'],
] as const)('with method %s, %s counts', (choice, method) => {
  it.each(GUEST_CASES[choice].map(({ name }) => name))('%s', (name) => {
    const { methods, steps } = report.socketCases[choice][name]!;
    expect(new Set(methods)).toEqual(new Set([method]));
    for (const { what, counted, expected } of steps) expect(counted, what).toEqual(expected);
  });
});

it('the doctor says what can be measured', () => {
  const findings = report.diagnosed.trim().split('\n');
  const sensor = findings.map((line) => JSON.parse(line) as Finding).find(({ check }) => check === 'sensor');
  expect(sensor?.detail).toMatch(/^method fentry .*: loads and attaches, for TCP, UDP and Unix-domain sockets$/);
  expect(sensor?.alternatives).toContainEqual(expect.stringMatching(/^tracepoint: .*needs tracepoint sk_data_ready/));
});

describe('method fentry divides latency as it was spent', () => {
  it('bytes that a partial read leaves keep their arrival', () => {
    const { socketWaitMs, handlingMs } = caseOf('partial reads');
    expect(socketWaitMs).toBeGreaterThanOrEqual((0 + 1 + 2 + 3 + 4 + 5 + 6) * 5);
    expect(handlingMs).toBeGreaterThanOrEqual(7 * 5);
  });

  it('a look with MSG_PEEK is no read', () => {
    expect(caseOf('a look').socketWaitMs).toBeGreaterThanOrEqual(5 * 20);
  });

  it('a late read shows as socket wait', () => {
    const { socketWaitMs, handlingMs } = caseOf('a late read');
    expect(socketWaitMs).toBeGreaterThanOrEqual(5 * 200);
    expect(handlingMs).toBeLessThan(socketWaitMs);
  });

  it('a splice is a read', () => {
    const { socketWaitMs, handlingMs } = caseOf('splice');
    expect(socketWaitMs).toBeGreaterThanOrEqual(7 * 10);
    expect(handlingMs).toBeGreaterThanOrEqual(7 * 10);
  });

  it('a reply by sendfile lasts until its last byte is handed over', () => {
    expect(caseOf('nginx, a large file to a slow client').latencyMs).toBeGreaterThanOrEqual(600);
  });
});
