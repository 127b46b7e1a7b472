import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Bench, ROOT } from './support/daemon.ts';

let server: Server;
let bench: Bench;

beforeAll(async () => {
  server = createServer((socket) => socket.on('data', (data) => socket.write(data))).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
});
afterAll(() => {
  server.close();
});
afterEach(async () => {
  await bench.close();
});

/** As the user nobody, with no group and no capability. @returns what it printed, or the error's code */
function asNobody(program: string): string {
  const wrapped = `const done = (error) => { console.log(error.code ?? error.message); process.exit(0); };
    process.on('uncaughtException', done); ${program}`;
  const flags = ['--reuid=65534', '--regid=65534', '--clear-groups', '--bounding-set=-all', '--no-new-privs'];
  const child = spawnSync('setpriv', [...flags, process.execPath, '-e', wrapped], {
    encoding: 'utf8',
    cwd: '/',
    timeout: 30_000,
  });
  if (child.status !== 0) throw new Error(child.stderr);
  return child.stdout.trim();
}

describe('a local user without rights', () => {
  it('reads the metrics, and can do nothing else to a daemon', async () => {
    bench = new Bench(`services:
  - name: echo
    target: { port: ${(server.address() as { port: number }).port} }
    slo: { quantile: p99, latency: 5ms, window: 1min }
    policy: ${join(ROOT, 'policies/pid.yaml')}
telemetry: { metrics: 127.0.0.1:0 }
`);
    // As open as the folders of a default installation without systemd, which would shut the runtime directory, too.
    for (const folder of [bench.folder, bench.runtime]) chmodSync(folder, 0o755);
    const daemon = bench.start();
    await bench.governing();
    const socket = join(bench.runtime, 'control.sock');
    const journal = join(bench.runtime, 'journal');
    const control = join(bench.sysfs, 'devices/system/cpu/cpufreq/policy0/scaling_max_freq');
    const status = await bench.client.status();
    expect(existsSync(journal)).toBe(true);

    const fs = (call: string) => asNobody(`require('fs').${call}; console.log('done')`);
    expect(asNobody(`require('net').connect(${JSON.stringify(socket)}, () => done({ code: 'connected' }))`)).toBe(
      'EACCES',
    );
    expect(fs(`readFileSync(${JSON.stringify(journal)})`)).toBe('EACCES');
    for (const file of [journal, control, bench.config, join(bench.runtime, 'new')]) {
      expect(fs(`writeFileSync(${JSON.stringify(file)}, 'x')`), file).toBe('EACCES');
    }
    for (const file of [journal, socket]) expect(fs(`unlinkSync(${JSON.stringify(file)})`), file).toBe('EACCES');
    expect(asNobody(`process.kill(${daemon.process.pid}, 'SIGTERM'); console.log('done')`)).toBe('EPERM');
    expect(fs(`readFileSync('/proc/${daemon.process.pid}/mem')`)).toBe('EACCES');
    expect(fs(`readdirSync('/proc/${daemon.process.pid}/fd')`)).toBe('EACCES');

    const page = (method: string, path: string) =>
      asNobody(
        `fetch(${JSON.stringify(`${status.metrics}${path}`)}, { method: '${method}' }).then((answer) => console.log(answer.status))`,
      );
    expect(page('GET', '/metrics')).toBe('200');
    expect(page('POST', '/metrics')).toBe('405');
    expect(page('POST', '/v1/pause')).toBe('404');
    expect((await bench.client.status()).state).toBe('governing');
  });
});
