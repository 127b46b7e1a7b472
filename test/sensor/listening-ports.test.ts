import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { listeningPorts, parseListening } from '../../src/sensor/listening-ports.ts';

it('parseListening() finds the sockets in state LISTEN, IPv4 and IPv6', () => {
  const v4 = `  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:18EB 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:0050 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3 1
`;
  const v6 = `  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1
`;
  expect(parseListening(v4)).toEqual([{ port: 6379, inode: 1 }]);
  expect(parseListening(v6)).toEqual([{ port: 443, inode: 7 }]);
  expect(parseListening('')).toEqual([]);
});

it('listeningPorts() sees a server come', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(listeningPorts().has(port)).toBe(true);
  server.close();
  await once(server, 'close');
  expect(listeningPorts().has(port)).toBe(false);
});
