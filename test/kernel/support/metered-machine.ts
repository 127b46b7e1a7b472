import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type LiveMock, startLiveMock } from '../../../src/sysfs/live-mock.ts';
import { Bench, configOf, NO_METRICS, type StartedProgram, startTailgov, until } from './daemon.ts';
import { RawClient } from './raw-client.ts';
import { type Server, startRedis } from './servers.ts';

/** What tests of commands share that measure a daemon at work: a server under load, and a machine with energy counters. */
export interface MeteredMachine {
  /** Of the running test. */
  readonly bench: Bench;
  /** Starts a daemon that governs the server as `cache`, and waits until it governs and measures power. */
  readonly govern: (policy: string, latency?: string) => Promise<StartedProgram>;
  /** Starts a command for that daemon, which ends with the test at the latest. */
  readonly start: (...args: string[]) => StartedProgram;
}

/** To be called once, at the top of a test file. */
export function meteredMachine(requestEveryMs: number): MeteredMachine {
  let redis: Server;
  let client: RawClient;
  let load: NodeJS.Timeout;
  let bench: Bench;
  let kernel: LiveMock;
  const started: StartedProgram[] = [];
  beforeAll(async () => {
    redis = await startRedis();
    client = await RawClient.connect(redis.port);
    load = setInterval(() => client.send('PING\r\n'), requestEveryMs);
  });
  afterAll(async () => {
    clearInterval(load);
    await client.close();
    await redis.stop();
  });
  beforeEach(() => {
    bench = new Bench('', 'intel-pstate-rapl-2s-8c');
    kernel = startLiveMock(bench.sysfs);
  });
  afterEach(async () => {
    for (const { process } of started.splice(0)) process.kill('SIGKILL');
    kernel.close();
    await bench.close();
  });
  return {
    get bench() {
      return bench;
    },
    govern: async (policy, latency = '5ms') => {
      bench.configure(configOf({ name: 'cache', port: redis.port, latency, policy }, NO_METRICS));
      const daemon = bench.start();
      await bench.governing();
      await until('power is measured', async () => (await bench.client.status()).power?.source === 'measured');
      return daemon;
    },
    start: (...args) => {
      const program = startTailgov(...args, '--runtime', bench.runtime);
      started.push(program);
      return program;
    },
  };
}
