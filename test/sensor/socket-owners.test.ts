import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { processesListeningOn } from '../../src/sensor/socket-owners.ts';

describe('processesListeningOn()', () => {
  it('finds who holds the listening socket, and nobody for another port', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect(processesListeningOn(new Set([port]))).toEqual(new Map([[port, [process.pid]]]));
    await new Promise((resolve) => server.close(resolve));
    expect(processesListeningOn(new Set([port]))).toEqual(new Map());
  });
});
