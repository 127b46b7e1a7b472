import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { ANY_PORT, Bench, ROOT, until } from './support/daemon.ts';
import { echoService } from './support/echo-service.ts';
import { RawClient } from './support/raw-client.ts';

const echo = echoService();
let bench: Bench;
afterEach(() => bench.close());

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

const CAPABILITIES = { bpf: 39n, perfmon: 38n, sys_nice: 23n };

describe('a daemon with the capabilities of its unit and no other', () => {
  it('measures, governs, goes first on its CPU, and is put back by its guardian', async () => {
    const unit = readFileSync(join(ROOT, 'deploy/systemd/tailgov.service'), 'utf8');
    const granted = /^CapabilityBoundingSet=(.*)$/m.exec(unit)![1]!.split(' ').sort();
    expect(granted).toEqual(Object.keys(CAPABILITIES).map((name) => `CAP_${name.toUpperCase()}`));

    bench = new Bench(echo.config({}, ANY_PORT));
    const original = bench.controls();
    const set = ['-all', ...Object.values(CAPABILITIES).map((number) => `+cap_${number}`)].join(',');
    const flags = ['--bounding-set', set, '--inh-caps', '-all', '--no-new-privs'];
    const daemon = bench.startUnder(['setpriv', ...flags]);
    await bench.governing();
    const mask = Object.values(CAPABILITIES).reduce((sum, number) => sum | (1n << number), 0n);
    const status = readFileSync(`/proc/${daemon.process.pid}/status`, 'utf8');
    for (const kind of ['CapEff', 'CapPrm', 'CapBnd']) {
      expect(status).toMatch(new RegExp(`^${kind}:\\s+${mask.toString(16).padStart(16, '0')}$`, 'm'));
    }
    const threads = readdirSync(`/proc/${daemon.process.pid}/task`);
    const policies = threads.map((tid) => execFileSync('chrt', ['-p', tid], { encoding: 'utf8' }));
    expect(policies.filter((text) => text.includes('SCHED_FIFO'))).toHaveLength(1);

    const client = await RawClient.connect(echo.port);
    for (let turn = 0; turn < 50; turn++) await client.exchange('x', 1);
    await client.close();
    await until('the requests are seen', async () => (await bench.client.totals()).services[0]!.requests === 50);
    await until('a control stands changed', () => !isDeepStrictEqual(bench.controls(), original));
    daemon.process.kill('SIGKILL');
    await until('all is put back', () => isDeepStrictEqual(bench.controls(), original));
    await until('the journal is gone', () => !existsSync(join(bench.runtime, 'journal')));
  });
});

describe('a local user without rights', () => {
  it('reads the metrics, and can do nothing else to a daemon', async () => {
    bench = new Bench(echo.config({}, ANY_PORT));
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
