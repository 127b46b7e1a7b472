import { createServer, type AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { listeningServices } from '../../src/sensor/listening-services.ts';

describe('listeningServices()', () => {
  it('finds a port that is listened on and the program that does', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const found = listeningServices();
    await new Promise((resolve) => server.close(resolve));
    const ours = found.find((service) => service.port === port);
    expect(ours?.pids).toEqual([process.pid]);
    const name = readFileSync('/proc/self/comm', 'utf8').trim();
    expect(ours?.programs).toEqual([name === 'MainThread' ? 'node' : name]);
    expect(found.map((service) => service.port)).toEqual(found.map((service) => service.port).sort((a, b) => a - b));
    expect(listeningServices().map((service) => service.port)).not.toContain(port);
  });
});
