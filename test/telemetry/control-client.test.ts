import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { controlClient, ControlError } from '../../src/telemetry/control-client.ts';

let folder: string;
let path: string;
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-client-'));
  path = join(folder, 'control.sock');
});

afterEach(() => {
  server?.close();
  server = undefined;
  rmSync(folder, { recursive: true });
});

/** Somebody who listens there and answers as no daemon does. */
async function listen(answer: (socket: Socket) => void): Promise<void> {
  const made = createServer((socket) => socket.once('data', () => answer(socket)));
  server = made;
  await new Promise<void>((done) => made.listen(path, done));
}

const refusal = () =>
  controlClient(path)
    .status()
    .then(String, (error: unknown) => error);

describe('controlClient()', () => {
  it('says so where nobody listens', async () => {
    expect(await refusal()).toMatchObject({ code: 'not-running' });
  });

  it('fails where the daemon ends amid its answer', async () => {
    await listen((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"pid":', () => socket.destroy());
    });
    const error = await refusal();
    expect(error).toBeInstanceOf(ControlError);
    expect(error).toMatchObject({
      code: 'refused',
      message: expect.stringContaining(`asking the daemon at ${path}`) as string,
    });
  });

  it.each([
    ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello', 'answered 200'],
    ['HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n', 'answered 431'],
  ])('fails at an answer that is none of a daemon: %j', async (text, said) => {
    await listen((socket) => socket.end(text));
    const error = await refusal();
    expect(error).toBeInstanceOf(ControlError);
    expect(error).toMatchObject({ code: 'refused', message: expect.stringContaining(said) as string });
  });
});
