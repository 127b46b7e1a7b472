import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { controlClient } from '../../src/telemetry/control-client.ts';
import { UsageError } from '../../src/core/errors.ts';
import { startControlServer, type ControlTarget } from '../../src/telemetry/control-server.ts';
import type { DaemonTotals } from '../../src/telemetry/daemon-totals.ts';
import { STATUS } from './metrics-support.ts';

let folder: string;
let socketPath: string;
let server: Server | undefined;
const totals: DaemonTotals = {
  startedAt: STATUS.startedAt,
  state: 'governing',
  mode: 'govern',
  atMs: 7,
  energy: null,
  services: [],
};
const calls: string[] = [];
const target: ControlTarget = {
  status: () => STATUS,
  ticksAfter: (tick) => {
    calls.push(`after ${tick}`);
    return [42, 43].filter((each) => each > tick).map((each) => JSON.stringify({ tick: each }));
  },
  totals: () => totals,
  pause: (forMs, by) => Promise.resolve(void calls.push(`pause ${forMs} by ${by}`)),
  resume: (by) =>
    by === null
      ? Promise.reject(new Error('the daemon is starting: try again when it governs'))
      : Promise.resolve(void calls.push(`resume by ${by}`)),
  swapPolicy: (service, file, persist, forMs) => {
    if (forMs !== null) calls.push(`swap for ${forMs}`);
    if (service !== 'web') return Promise.reject(new UsageError(`no service ${service} is governed: expected web`));
    return Promise.resolve({ service, file, lasts: persist });
  },
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-control-'));
  socketPath = join(folder, 'control.sock');
  calls.length = 0;
});

afterEach(() => {
  server?.close();
  server = undefined;
  rmSync(folder, { recursive: true });
});

/** Sends raw text and gives back all that comes until the end. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

describe('the control socket', () => {
  it('answers status, ticks and pause, and is for its owner alone', async () => {
    server = await startControlServer(socketPath, target);
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    const client = controlClient(socketPath);
    expect(await client.status()).toEqual(STATUS);
    expect(await client.totals()).toEqual(totals);
    expect(await client.ticksAfter(41)).toEqual([{ tick: 42 }, { tick: 43 }]);
    expect(await client.ticksAfter(43)).toEqual([]);
    expect((await client.pause()).state).toBe('governing');
    expect(calls).toEqual(['after 41', 'after 43', 'pause null by null']);
  });

  it('takes how long a pause is to last, and nothing that is no time', async () => {
    server = await startControlServer(socketPath, target);
    await controlClient(socketPath).pause(90_000);
    expect(calls).toEqual(['pause 90000 by null']);
    for (const text of ['soon', '0s', '-1s', '25d', '']) {
      const answer = await raw(`POST /v1/pause?for=${text} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      expect(answer).toContain('400 Bad Request');
      expect(answer).toContain(`for=${text}: expected a time of 1ms to 24d, such as 30s`);
    }
    expect(calls).toEqual(['pause 90000 by null']);
  });

  it('takes whose a pause is, and nothing that is no name', async () => {
    server = await startControlServer(socketPath, target);
    const client = controlClient(socketPath);
    await client.pause(90_000, 'measure-1');
    await client.resume('measure-1');
    expect(calls).toEqual(['pause 90000 by measure-1', 'resume by measure-1']);
    for (const name of ['', 'a b', 'x'.repeat(65)]) {
      await expect(client.pause(undefined, name)).rejects.toThrow(`by=${name}: expected up to 64 letters`);
      await expect(client.resume(name)).rejects.toThrow(`by=${name}: expected up to 64 letters`);
    }
    expect(calls).toHaveLength(2);
  });

  it('passes on why the daemon refuses', async () => {
    server = await startControlServer(socketPath, target);
    await expect(controlClient(socketPath).resume()).rejects.toMatchObject({
      code: 'refused',
      message: 'the daemon is starting: try again when it governs',
    });
  });

  it('swaps a policy, and says what is wrong with what was asked', async () => {
    server = await startControlServer(socketPath, target);
    const client = controlClient(socketPath);
    expect(await client.swapPolicy('web', '/etc/a b.yaml', true)).toEqual({
      service: 'web',
      file: '/etc/a b.yaml',
      lasts: true,
    });
    await expect(client.swapPolicy('db', '/etc/x.yaml', false)).rejects.toMatchObject({
      code: 'refused',
      message: 'no service db is governed: expected web',
    });
    await client.swapPolicy('web', '/etc/x.yaml', false, 1500);
    expect(calls).toEqual(['swap for 1500']);
    await expect(client.swapPolicy('web', '/etc/x.yaml', true, 1500)).rejects.toThrow('expected one of them');
    const answer = await raw('POST /v1/policy?service=web HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(answer).toContain('400 Bad Request');
    expect(answer).toContain('no file given');
  });

  it('says what it knows to who asks for something else', async () => {
    server = await startControlServer(socketPath, target);
    const answer = await raw('DELETE /v1/everything HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(answer).toContain('404');
    expect(answer).toContain('expected one of: GET /v1/status');
    expect(await raw('GET /v1/ticks?after=abc HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toContain(
      'after=abc: expected the number of a tick',
    );
  });

  it('takes over a socket file that nobody listens on', async () => {
    writeFileSync(socketPath, '');
    server = await startControlServer(socketPath, target);
    expect((await controlClient(socketPath).status()).pid).toBe(4711);
  });

  it('tells the client when there is no daemon', async () => {
    await expect(controlClient(socketPath).status()).rejects.toMatchObject({ code: 'not-running' });
  });
});
