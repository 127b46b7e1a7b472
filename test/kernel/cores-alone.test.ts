import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Bench, configOf, NO_METRICS, tailgov, until } from './support/daemon.ts';
import { RawClient } from './support/raw-client.ts';
import { type Server, startRedis } from './support/servers.ts';

let bench: Bench;
let redis: Server;
let client: RawClient;
let load: NodeJS.Timeout;

beforeEach(async () => {
  bench = new Bench('', 'virtual-machine-4c');
  // This machine's own CPUs, without its cpufreq where it has one: masks are set on real threads.
  rmSync(bench.sysfs, { recursive: true });
  const online = join(bench.sysfs, 'devices/system/cpu/online');
  mkdirSync(dirname(online), { recursive: true });
  writeFileSync(online, readFileSync('/sys/devices/system/cpu/online', 'utf8'));
  redis = await startRedis();
  client = await RawClient.connect(redis.port);
  load = setInterval(() => client.send('PING\r\n'), 20);
  writeFileSync(join(bench.folder, 'one.yaml'), 'controller: fixed\ninterval: 100ms\nparameters: { level: 0.1 }\n');
  const cores = 'planner: { strategy: cores }\nactuators: { affinity: { method: threads } }\n';
  bench.configure(configOf({ name: 'cache', port: redis.port, policy: 'one.yaml' }, cores + NO_METRICS));
});

afterEach(async () => {
  clearInterval(load);
  await client.close();
  await redis.stop();
  await bench.close();
});

const allowed = (pid: number) => /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;

describe('a machine without cpufreq', () => {
  it('passes the doctor, and has the CPUs of a real server governed, shown and given back', async () => {
    const before = allowed(redis.pid);
    const doctor = tailgov('doctor', '--sysfs', bench.sysfs);
    expect(doctor.status, doctor.stdout).toBe(0);
    expect(doctor.stdout).toMatch(/^degraded +frequency +no cpufreq policy/m);
    expect(doctor.stdout).toMatch(/^ok +cores +the CPUs of services can be set by .*threads/m);

    const daemon = bench.start();
    await bench.governing();
    await until('it runs on one CPU', () => /^\d+$/.test(allowed(redis.pid)));
    const shown = tailgov('status', '--runtime', bench.runtime).stdout;
    expect(shown).toMatch(/^ {2}cpus +\d+ in .*, no cpufreq: which of them services have$/m);
    expect(shown).toMatch(/^ {2}cpus +1 \(\d+\) by threads$/m);
    daemon.process.kill('SIGTERM');
    expect(await daemon.exited, daemon.output()).toBe(0);
    expect(allowed(redis.pid)).toBe(before);
  }, 90_000);
});
