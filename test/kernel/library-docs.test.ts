import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { RawClient } from './support/raw-client.ts';
import { sensorFixture } from './support/sensor-fixture.ts';
import { startRedis } from './support/servers.ts';

const ROOT = join(import.meta.dirname, '../..');
const TSX = join(ROOT, 'node_modules/tsx/dist/cli.mjs');
const REQUESTS = 401;

const fixture = sensorFixture();

interface Runtime {
  readonly child: ChildProcess;
  readonly cgroup: string;
  /** The next line that it prints. */
  line(): Promise<string>;
  /** Reads lines until it has told of so many requests, and then one more. @returns how many it has told of */
  counted(requests: number): Promise<number>;
}

/** Runs a program of docs/library.md as a reader does, but from the sources and with the probes as they are now. */
function runExample(name: string, ...args: readonly string[]): Runtime {
  const cgroup = mkdtempSync(join(tmpdir(), 'tailgov-library-'));
  const text = readFileSync(join(ROOT, 'docs/library.md'), 'utf8');
  const code = new RegExp(`<!-- ${name} -->\\s+\`\`\`js\\n(.*?)\`\`\``, 's').exec(text)![1]!;
  const file = join(cgroup, `${name}.mjs`);
  const here = code
    .replace(`'tailgov'`, JSON.stringify(join(ROOT, 'src/index.ts')))
    .replace('openSensor({', `openSensor({ objectDirectory: ${JSON.stringify(fixture.bpf.directory)},`);
  writeFileSync(file, here);
  const child = spawn(process.execPath, [TSX, file, ...args, cgroup], { stdio: ['pipe', 'pipe', 'inherit'] });
  fixture.cleanups.push(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
    rmSync(cgroup, { recursive: true, force: true });
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async () => (await lines.next()).value as string;
  const requestsIn = (said: string) => Number(/^(\d+) requests/.exec(said)![1]);
  const counted = async (requests: number) => {
    let sum = 0;
    while (sum < requests) sum += requestsIn(await line());
    return sum + requestsIn(await line());
  };
  return { child, cgroup, line, counted };
}

const weightOf = ({ cgroup }: Runtime) => Number(readFileSync(join(cgroup, 'cpu.weight'), 'utf8'));

it('the runtime in docs/library.md measures a server and acts', async () => {
  const redis = await fixture.use(startRedis());
  const runtime = runExample('runtime', `${redis.port}`);
  await runtime.line();
  const client = await fixture.client(redis);
  for (let sent = 0; sent < REQUESTS; sent++) await client.exchange('PING\r\n', '+PONG\r\n'.length);

  expect(await runtime.counted(REQUESTS)).toBe(REQUESTS);
  expect(weightOf(runtime)).toBeGreaterThan(0);
});

it('a runtime fed by a client’s reports, and the same with the sensor in their place, see the same requests', async () => {
  const redis = await fixture.use(startRedis());
  const before = runExample('before');
  const after = runExample('after', `${redis.port}`);
  await Promise.all([before.line(), after.line()]);
  const client = await RawClient.connect(redis.port);
  for (let sent = 0; sent < REQUESTS; sent++) {
    const began = performance.now();
    await client.exchange('PING\r\n', '+PONG\r\n'.length);
    before.child.stdin!.write(`${performance.now() - began}\n`);
  }
  await client.close();

  expect(await Promise.all([before.counted(REQUESTS), after.counted(REQUESTS)])).toEqual([REQUESTS, REQUESTS]);
  for (const runtime of [before, after]) expect(weightOf(runtime)).toBeGreaterThan(0);
});
