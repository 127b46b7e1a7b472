/**
 * Servers whose requests take a while: `node-server.ts cpu MS` works on the CPU for a time that is exponentially
 * distributed about MS, and so does `grpc MS`, whose requests are unary gRPC calls; `inference MS_LOW MS_HIGH` takes a time
 * between the two, evenly, most of it as a model on another device would, the rest on the CPU. Says its port on stdout.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Random } from '../../src/plant/random.ts';
import { startGrpc, unary } from '../../test/kernel/support/grpc.ts';

const [kind, low, high] = process.argv.slice(2);
const random = new Random(1, 'service');
const BODY = 'done\n';
/** Of an inference's time, on the CPU: tokens in and out. */
const CPU_SHARE = 0.1;

if (kind === 'grpc') {
  const method = (call: Parameters<typeof unary>[0]) => {
    spin(Number(low) * random.nextExponential());
    unary(call);
  };
  console.log((await startGrpc({ '/unary': method })).port);
} else {
  const server = createServer((_request, response) => {
    const answer = () => response.writeHead(200, { 'content-length': BODY.length }).end(BODY);
    if (kind === 'cpu') {
      spin(Number(low) * random.nextExponential());
      answer();
      return;
    }
    const ms = Number(low) + (Number(high) - Number(low)) * random.nextUnit();
    spin(ms * CPU_SHARE);
    setTimeout(answer, ms * (1 - CPU_SHARE));
  });
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
}

function spin(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}
