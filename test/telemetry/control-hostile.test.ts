import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { controlClient } from '../../src/telemetry/control-client.ts';
import { startControlServer, type ControlTarget } from '../../src/telemetry/control-server.ts';
import { STATUS } from './metrics-support.ts';
import { closed, mute, rawHttp } from './raw-http.ts';

let folder: string;
let path: string;
let server: Server | undefined;
const calls: string[] = [];
const target: ControlTarget = {
  status: () => STATUS,
  ticksAfter: () => [],
  totals: () => ({ startedAt: '', state: 'governing', mode: 'govern', atMs: null, energy: null, services: [] }),
  pause: () => Promise.resolve(void calls.push('pause')),
  resume: () => Promise.resolve(void calls.push('resume')),
  swapPolicy: (service, file, persist) => {
    calls.push(`swap ${service} ${file} ${persist}`);
    return Promise.resolve({ service, file, lasts: persist });
  },
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-control-'));
  path = join(folder, 'control.sock');
  calls.length = 0;
  server = await startControlServer(path, target);
});

afterEach(() => {
  server?.close();
  server?.closeAllConnections();
  rmSync(folder, { recursive: true });
});

const answers = async () => (await controlClient(path).status()).pid === STATUS.pid;

describe('the control socket among hostile clients', () => {
  it.each([
    ['no HTTP', 'hello\r\n\r\n', '400'],
    ['bytes', '\x00\xff\x16\x03\x01\r\n\r\n', '400'],
    ['a huge header', `GET /v1/status HTTP/1.1\r\nhost: x\r\ny: ${'y'.repeat(100_000)}\r\n\r\n`, '431'],
    ['a huge path', `POST /v1/policy?service=${'y'.repeat(100_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, '431'],
    ['a path that is none', 'GET http://[ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', '400'],
    ['a foreign address', 'POST http://evil/v1/pause HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', '400'],
    ['a method that the path has not', 'GET /v1/pause HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', '405'],
    ['a name of every object', 'GET /constructor HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', '404'],
    ['a number that is none', 'GET /v1/ticks?after=1e999 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', '400'],
    ['no file', 'POST /v1/policy?service=web HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', '400'],
    [
      'two requests in one',
      'POST /v1/status HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n',
      '400',
    ],
  ])('refuses %s, changes nothing, and goes on', async (_, text, status) => {
    expect((await rawHttp({ path }, text)).slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expect(calls).toEqual([]);
    expect(await answers()).toBe(true);
  });

  it('answers, and then closes, where a body comes that nobody asked for', async () => {
    const body = `POST /v1/pause HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999999\r\n\r\n${'z'.repeat(1_000_000)}`;
    expect(await rawHttp({ path }, body)).toMatch(/^HTTP\/1\.1 200 .*connection: close/is);
    expect(calls).toEqual(['pause']);
    expect(await answers()).toBe(true);
  });

  it('is there again, however many have connected and said nothing', async () => {
    const crowd = await Promise.all(Array.from({ length: 32 }, () => mute({ path })));
    expect(await rawHttp({ path }, 'GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n')).toBe('');
    await Promise.all(crowd.map(closed));
    expect(await answers()).toBe(true);
  }, 20_000);
});

describe('the place of the control socket', () => {
  it('is for its owner alone, also for who comes in the moment it appears', () => {
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(process.umask()).not.toBe(0o177);
  });

  it('is refused where its path is too long for a socket: the kernel would cut it silently', async () => {
    const deep = join(folder, 'd'.repeat(100));
    mkdirSync(deep);
    await expect(startControlServer(join(deep, 'control.sock'), target)).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/bytes long, expected at most 107: give a shorter --runtime$/) as string,
    });
    expect(readdirSync(folder).sort()).toEqual(['control.sock', 'd'.repeat(100)]);
    expect(readdirSync(deep)).toEqual([]);
  });
});
