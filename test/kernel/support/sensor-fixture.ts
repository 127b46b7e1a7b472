import { afterAll, afterEach, beforeAll } from 'vitest';
import { buildBpf, type BuiltBpf } from './build-bpf.ts';
import { RawClient } from './raw-client.ts';
import { ScriptedServers, type Server } from './servers.ts';

/** What tests of the sensor share: the compiled probes, the scripted servers, and an end for all that a test has begun. */
export interface SensorFixture {
  /** There once the file's tests run. */
  readonly bpf: BuiltBpf;
  readonly scripted: ScriptedServers;
  /** Called after the test, the last one first. */
  readonly cleanups: (() => unknown)[];
  /** Starts a server, and stops it after the test. */
  readonly use: <Started extends { stop(): Promise<void> }>(server: Promise<Started>) => Promise<Started>;
  /** Connects to a server, and closes the connection after the test. */
  readonly client: (server: Server, host?: string) => Promise<RawClient>;
}

/** To be called once, at the top of a test file. */
export function sensorFixture(): SensorFixture {
  let bpf: BuiltBpf;
  let scripted: ScriptedServers;
  const cleanups: (() => unknown)[] = [];
  beforeAll(() => {
    bpf = buildBpf();
    scripted = new ScriptedServers();
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
  afterAll(() => {
    bpf.remove();
    scripted.remove();
  });
  return {
    get bpf() {
      return bpf;
    },
    get scripted() {
      return scripted;
    },
    cleanups,
    use: async (server) => {
      const started = await server;
      cleanups.push(() => started.stop());
      return started;
    },
    client: async (server, host) => {
      const connected = await RawClient.connect(server.port, host);
      cleanups.push(() => connected.close());
      return connected;
    },
  };
}
