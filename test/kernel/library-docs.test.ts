import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { buildBpf } from './support/build-bpf.ts';
import { RawClient } from './support/raw-client.ts';
import { startRedis } from './support/servers.ts';

const ROOT = join(import.meta.dirname, '../..');

it('the runtime in docs/library.md measures a server and acts', async () => {
  const bpf = buildBpf();
  const redis = await startRedis();
  const cgroup = mkdtempSync(join(tmpdir(), 'tailgov-library-'));
  const text = readFileSync(join(ROOT, 'docs/library.md'), 'utf8');
  const code = /<!-- runtime -->\s+```js\n(.*?)```/s.exec(text)![1]!;
  const file = join(cgroup, 'runtime.mjs');
  // As a reader runs it, but from the sources and with the probes as they are now.
  const here = code
    .replace(`'tailgov'`, JSON.stringify(join(ROOT, 'src/index.ts')))
    .replace('openSensor({', `openSensor({ objectDirectory: ${JSON.stringify(bpf.directory)},`);
  writeFileSync(file, here);
  const tsx = join(ROOT, 'node_modules/tsx/dist/cli.mjs');
  const runtime = spawn(process.execPath, [tsx, file, `${redis.port}`, cgroup], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const lines = createInterface(runtime.stdout)[Symbol.asyncIterator]();
    await lines.next();
    const client = await RawClient.connect(redis.port);
    for (let sent = 0; sent < 401; sent++) await client.exchange('PING\r\n', '+PONG\r\n'.length);
    await client.close();
    let counted = 0;
    while (counted < 401) {
      const { value } = (await lines.next()) as { value: string };
      counted += Number(/^(\d+) requests/.exec(value)![1]);
    }
    expect(counted).toBe(401);
    expect(Number(readFileSync(join(cgroup, 'cpu.weight'), 'utf8'))).toBeGreaterThan(0);
  } finally {
    const exited = once(runtime, 'exit');
    runtime.kill('SIGTERM');
    await exited;
    await redis.stop();
    bpf.remove();
    rmSync(cgroup, { recursive: true, force: true });
  }
});
