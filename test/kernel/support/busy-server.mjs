/** An HTTP server that keeps its thread busy for so many ms a request: `busy-server.mjs MS`. It prints the port that it listens on. */
import { createServer } from 'node:http';

const busyMs = Number(process.argv[2]);
const server = createServer((_, reply) => {
  const end = performance.now() + busyMs;
  while (performance.now() < end);
  reply.end('done');
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
