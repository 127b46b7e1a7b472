import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type NetConnectOpts } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { garbageCollector } from '../../src/daemon/collect-garbage.ts';
import { startControlServer, type ControlTarget } from '../../src/telemetry/control-server.ts';
import { startMetricsServer, type Page } from '../../src/telemetry/metrics-server.ts';
import { STATUS } from '../telemetry/metrics-support.ts';
import { mutate } from './mutate.ts';
import { figure, patienceMs, random, SEED, tries } from './tries.ts';

const COUNT = tries(300, 100_000);
const LONGEST_INPUT = 40_000;
/** Fewer than either server takes. */
const AT_ONCE = 16;
/** 2,000 requests left 600 to 800 KB. */
const MOST_GROWTH_KB = 8_192;

let folder: string;
const ends: (() => void)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-clients-'));
});
afterEach(() => {
  for (const end of ends.splice(0)) end();
  rmSync(folder, { recursive: true });
});

const target: ControlTarget = {
  status: () => STATUS,
  ticksAfter: () => [],
  totals: () => ({ startedAt: '', state: 'governing', mode: 'govern', atMs: null, energy: null, services: [] }),
  pause: () => Promise.resolve(),
  resume: () => Promise.resolve(),
  swapPolicy: (service, file, persist) => Promise.resolve({ service, file, lasts: persist }),
};
const PAGES: Readonly<Record<string, Page>> = {
  '/': { type: 'text/html', body: () => 'start' },
  '/metrics': { type: 'text/plain', body: () => 'metrics 1\n' },
  '/dashboard/data': { type: 'application/json', body: (query) => JSON.stringify([...query]) },
};

const SERVERS = [
  {
    name: 'the control socket',
    seeds: [
      'GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
      'GET /v1/ticks?after=7 HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/totals HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
      'POST /v1/policy?service=web&file=%2Fetc%2Fx.yaml&persist=true HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc',
      'POST /v1/pause HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    ],
    start: async (): Promise<NetConnectOpts> => {
      const path = join(folder, 'control.sock');
      const server = await startControlServer(path, target);
      ends.push(() => (server.close(), server.closeAllConnections()));
      return { path };
    },
  },
  {
    name: 'the metrics port',
    seeds: [
      'GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept: text/plain;version=0.0.4\r\nconnection: close\r\n\r\n',
      'HEAD / HTTP/1.1\r\nhost: 127.0.0.1:9750\r\n\r\nGET /dashboard/data?after=1&x=%20 HTTP/1.0\r\nhost: localhost\r\n\r\n',
    ],
    start: async (): Promise<NetConnectOpts> => {
      const server = await startMetricsServer({ host: '127.0.0.1', port: 0 }, PAGES);
      ends.push(() => server.close());
      return { host: '127.0.0.1', port: Number(new URL(server.url).port) };
    },
  },
] as const;

/** Says everything at once, and no more. @returns all that is answered */
function tell(where: NetConnectOpts, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(where, () => socket.end(text, 'latin1'));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
    socket.on('close', () => resolve(answer));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
  });
}

const collect = garbageCollector();
const heapKb = () => {
  collect('all');
  return process.memoryUsage().heapUsed / 1024;
};

describe('mutated requests', () => {
  it.each(SERVERS)(
    'to $name are answered or closed, and the next one is served',
    { timeout: patienceMs(COUNT, 5) },
    async ({ name, seeds, start }) => {
      const where = await start();
      const dice = random(SEED);
      const statuses: Record<string, number> = {};
      const pick = () => seeds[Math.floor(dice() * seeds.length)]!;
      let next = 0;
      let bytes = 0;
      const client = async () => {
        while (next < COUNT) {
          const at = next++;
          const text = mutate(pick(), pick(), dice).slice(0, LONGEST_INPUT);
          bytes += text.length;
          const answer = await tell(where, text);
          const status = answer === '' ? 'closed' : answer.slice(0, 'HTTP/1.1 200'.length);
          if (!/^(closed|HTTP\/1\.1 [24]\d\d)$/.test(status))
            throw new Error(
              `${name} says ${JSON.stringify(answer)} to input ${at} of seed ${SEED}: ${JSON.stringify(text)}`,
            );
          statuses[status] = (statuses[status] ?? 0) + 1;
        }
      };
      // What the first requests leave for ever (compiled code, pools) is no growth.
      for (const seed of seeds) await tell(where, seed);
      const before = heapKb();
      await Promise.all(Array.from({ length: AT_ONCE }, client));
      const grownKb = Math.round(heapKb() - before);
      expect(await tell(where, seeds[0])).toMatch(/^HTTP\/1\.1 200/);
      expect(statuses['HTTP/1.1 400']).toBeGreaterThan(0);
      expect(grownKb).toBeLessThan(MOST_GROWTH_KB);
      figure('mutated requests', { server: name, count: COUNT, bytes, grownKb, ...statuses });
    },
  );
});
