import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from 'vitest';
import { controllers } from '../../src/compose/controllers.ts';
import { loadConfig } from '../../src/policy/load-config.ts';
import { Bench, CLI, startTailgov, tailgov } from './support/daemon.ts';
import { RawClient } from './support/raw-client.ts';
import { startRedis, type Server } from './support/servers.ts';

let redis: Server;
let folder: string;
beforeAll(async () => void (redis = await startRedis()));
afterAll(() => redis?.stop());
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'tailgov-init-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const serviceOf = (port: number) =>
  loadConfig(join(folder, 'tailgov.yaml'), controllers).services.find(({ target }) => target.ports?.includes(port));

describe('tailgov init', () => {
  it('measures what listens and suggests an objective from it', async () => {
    const init = startTailgov('init', folder, '--observe', '2s');
    const client = await RawClient.connect(redis.port);
    let going = true;
    const load = (async () => {
      while (going) await client.exchange('PING\r\n', '+PONG\r\n'.length);
    })();
    const exitCode = await init.exited;
    const output = init.stdout();
    going = false;
    await load;
    await client.close();
    expect(exitCode, output).toBe(0);
    expect(output).toMatch(new RegExp(`${redis.port} +redis-server +\\d+ requests, p99 .* suggested`));
    expect(serviceOf(redis.port)?.name).toMatch(/^redis-server/);
    expect(readFileSync(join(folder, 'tailgov.yaml'), 'utf8')).toMatch(/# Measured: \d+ requests/);
    expect(tailgov('policy', 'check', join(folder, 'tailgov.yaml')).status).toBe(0);
  });

  it('says so where nothing is measured', () => {
    const { status, stdout } = tailgov('init', folder, '--no-observe');
    expect(status).toBe(0);
    expect(stdout).toContain('Nothing was measured: --no-observe was given.');
    expect(serviceOf(redis.port)?.slo.latencyNs).toBe(10_000_000);
  });

  it('says why where the kernel does not let it measure', () => {
    // As nobody else than root, who may write here and load no probe.
    const unprivileged = ['--bounding-set', '-bpf,-sys_admin,-perfmon', process.execPath, CLI, 'init', folder];
    const { status, stdout, stderr } = spawnSync('setpriv', unprivileged, { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(/^Nothing was measured: .+/);
    expect(serviceOf(redis.port)).toBeDefined();
  });

  it('overwrites nothing unless it is told to', () => {
    const config = join(folder, 'tailgov.yaml');
    writeFileSync(config, '# mine\n');
    const { status, stderr } = tailgov('init', folder, '--no-observe');
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(`${config} exists`) as string });
    expect(readFileSync(config, 'utf8')).toBe('# mine\n');
    expect(existsSync(join(folder, 'policies'))).toBe(false);

    expect(tailgov('init', folder, '--no-observe', '--force').status).toBe(0);
    writeFileSync(join(folder, 'policies/pid.yaml'), 'controller: pid # mine\n');
    rmSync(config);
    const again = tailgov('init', folder, '--no-observe');
    expect(again.stderr).toContain('policies/pid.yaml exists');
    expect(existsSync(config)).toBe(false);
  });

  it('writes what starts as a dry run, and leaves its own port out the next time', async () => {
    tailgov('init', folder, '--no-observe');
    const text = readFileSync(join(folder, 'tailgov.yaml'), 'utf8').replace('127.0.0.1:9750', '127.0.0.1:0');
    writeFileSync(join(folder, 'tailgov.yaml'), text);
    const bench = new Bench('');
    try {
      const before = bench.controls();
      bench.start('--config', join(folder, 'tailgov.yaml'));
      await bench.governing();
      const { mode, metrics } = await bench.client.status();
      expect(mode).toBe('dry-run');
      expect(bench.controls()).toEqual(before);
      const { stdout } = tailgov('init', join(folder, 'again'), '--no-observe', '--runtime', bench.runtime);
      expect(stdout).toMatch(new RegExp(`${new URL(metrics!).port} .*left out: it is tailgov’s own`));
    } finally {
      await bench.close();
    }
  });
});
