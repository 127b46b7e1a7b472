import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ModelledCore } from './modelled-core.ts';
import type { FromPart } from './part-messages.ts';
import { untilDisconnected } from './part.ts';

const SPANS_EVERY_MS = 250;
/** While the server waits nothing else would notice that the frequency has changed. */
const IDLE_LOOK_MS = 20;
const BODY = 'done\n';

/**
 * The demo's server, a process of its own: HTTP with keep-alive, one worker. `GET /work?cycles=N` keeps the modelled core
 * busy for N cycles and then answers.
 */
export async function runServerPart(frequencyFile: string, send: (message: FromPart) => void): Promise<void> {
  const core = new ModelledCore(frequencyFile);
  const server = createServer({ keepAlive: true }, (request, response) => {
    const cycles = Number(/^\/work\?cycles=(\d+)$/.exec(request.url ?? '')?.[1]);
    if (Number.isNaN(cycles)) {
      response.writeHead(404).end();
      return;
    }
    core.spend(cycles);
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': BODY.length });
    response.end(BODY);
  });
  // Connections stay open as long as the client wants: closing them would be noise in the measurement.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.headersTimeout = 0;
  server.listen(0, '127.0.0.1', () => send({ kind: 'listening', port: (server.address() as AddressInfo).port }));
  const look = setInterval(() => core.lookAtFrequency(), IDLE_LOOK_MS);
  const report = setInterval(
    () => send({ kind: 'spans', spans: core.takeSpans(), cpuWaitMs: cpuWaitMs() }),
    SPANS_EVERY_MS,
  );

  await untilDisconnected();
  clearInterval(look);
  clearInterval(report);
  server.close();
  server.closeAllConnections();
  core.close();
}

/** The run-queue delay of the main thread: the second number of /proc/self/schedstat, see sched-stats.rst of the kernel. */
function cpuWaitMs(): number | null {
  try {
    const waitNs = Number(readFileSync('/proc/self/schedstat', 'latin1').split(' ')[1]);
    return Number.isFinite(waitNs) ? waitNs / 1e6 : null;
  } catch {
    // A kernel without CONFIG_SCHED_INFO has no such file: the figure is then left out of the report.
    return null;
  }
}
