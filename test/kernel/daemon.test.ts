import { createSocket } from 'node:dgram';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Bench, readyPolicy, tailgov, until } from './support/daemon.ts';
import { echoService } from './support/echo-service.ts';
import { DNS_QUERY, startDnsmasq } from './support/more-servers.ts';

const echo = echoService();
let bench: Bench;
afterEach(() => bench.close());

describe('tailgov run', () => {
  it('takes the controls, slows down an idle machine, shows it in status, and puts all back at SIGTERM', async () => {
    bench = new Bench(echo.config());
    const original = bench.controls();
    const daemon = bench.start();
    await bench.governing();
    await until(
      'the level has fallen',
      async () => (await bench.client.status()).last!.services[0]!.appliedLevel < 0.5,
    );
    const held = bench.controls();
    expect(held['policy0/scaling_governor']).toBe('performance');
    expect(Number(held['policy0/scaling_max_freq'])).toBeLessThan(0.5 * Number(original['policy0/scaling_max_freq']));
    const status = tailgov('status', '--runtime', bench.runtime);
    expect(status.stdout).toContain('echo: idle');
    expect(status.stdout).toContain('by pid');

    daemon.process.kill('SIGTERM');
    expect(await daemon.exited, daemon.output()).toBe(0);
    expect(bench.controls()).toEqual(original);
    expect(existsSync(join(bench.runtime, 'journal'))).toBe(false);
  });

  it('governs a server of DNS, whose requests are datagrams', async () => {
    const dns = await startDnsmasq();
    const asker = createSocket('udp4').bind(0, '127.0.0.1');
    const asking = setInterval(() => asker.send(DNS_QUERY, dns.port, '127.0.0.1'), 5);
    try {
      bench = new Bench(echo.config().replace(`port: ${echo.port}`, `port: ${dns.port}, protocol: udp`));
      const full = bench.controls()['policy0/scaling_max_freq'];
      const daemon = bench.start();
      await bench.governing();
      await until('it has slowed down', () => bench.controls()['policy0/scaling_max_freq'] !== full);
      const { requests } = (await bench.client.totals()).services[0]!;
      await until('it counts on', async () => (await bench.client.totals()).services[0]!.requests > requests);
      expect((await bench.client.status()).last!.services[0]!.snapshot).toMatchObject({
        method: 'tracepoint',
        unit: 'turn',
      });
      daemon.process.kill('SIGTERM');
      expect(await daemon.exited, daemon.output()).toBe(0);
      expect(bench.controls()['policy0/scaling_max_freq']).toBe(full);
    } finally {
      clearInterval(asking);
      asker.close();
      await dns.stop();
    }
  });

  it('goes to full speed on pause and governs again on resume', async () => {
    bench = new Bench(echo.config());
    const full = bench.controls()['policy0/scaling_max_freq'];
    bench.start();
    await bench.governing();
    await until('it has slowed down', () => bench.controls()['policy0/scaling_max_freq'] !== full);
    expect(tailgov('pause', '--runtime', bench.runtime)).toMatchObject({ status: 0 });
    expect(bench.controls()['policy0/scaling_max_freq']).toBe(full);
    await sleep(500);
    expect(bench.controls()['policy0/scaling_max_freq']).toBe(full);
    expect((await bench.client.status()).state).toBe('paused');
    expect(tailgov('resume', '--runtime', bench.runtime)).toMatchObject({ status: 0 });
    await until('it slows down again', () => bench.controls()['policy0/scaling_max_freq'] !== full);
  });

  it('is followed by the guardian, who restores, when it is killed', async () => {
    bench = new Bench(echo.config());
    const original = bench.controls();
    const daemon = bench.start();
    await bench.governing();
    await until(
      'it has slowed down',
      () => bench.controls()['policy0/scaling_max_freq'] !== original['policy0/scaling_max_freq'],
    );
    daemon.process.kill('SIGKILL');
    await daemon.exited;
    await until('the guardian has restored', () => JSON.stringify(bench.controls()) === JSON.stringify(original));
    await until('the journal is gone', () => !existsSync(join(bench.runtime, 'journal')));
  });

  it('writes nothing in dry run, and says that its latencies are predicted', async () => {
    bench = new Bench(echo.config());
    const path = join(bench.sysfs, 'devices/system/cpu/cpufreq/policy0/scaling_max_freq');
    const before = statSync(path, { bigint: true }).mtimeNs;
    const original = bench.controls();
    const daemon = bench.start('--dry-run');
    await bench.governing();
    await until('it would slow down', async () => (await bench.client.status()).last!.services[0]!.appliedLevel < 1);
    expect((await bench.client.status()).last).toMatchObject({ mode: 'dry-run', predicted: true });
    daemon.process.kill('SIGTERM');
    expect(await daemon.exited).toBe(0);
    expect(bench.controls()).toEqual(original);
    expect(statSync(path, { bigint: true }).mtimeNs).toBe(before);
  });

  it('refuses a second daemon beside the first, and names it', async () => {
    bench = new Bench(echo.config({ policy: readyPolicy('performance') }));
    const first = bench.start();
    await bench.governing();
    const second = bench.start();
    expect(await second.exited).toBe(2);
    expect(second.output()).toContain(`pid ${first.process.pid}`);
    // Whatever its runtime directory; the last --runtime counts.
    const elsewhere = join(bench.folder, 'elsewhere');
    const third = bench.start('--runtime', elsewhere);
    expect(await third.exited).toBe(2);
    expect(third.output()).toContain(`a daemon with pid ${first.process.pid} already governs the machine below`);
    const dry = bench.start('--runtime', elsewhere, '--dry-run', '--duration', '1s');
    expect(await dry.exited, dry.output()).toBe(0);
    expect((await bench.client.status()).pid).toBe(first.process.pid);
  });

  it('refuses a bad config before it touches anything, and says where', async () => {
    bench = new Bench(echo.config());
    writeFileSync(bench.config, readFileSync(bench.config, 'utf8').replace('latency: 5ms', 'latency: 5'));
    const daemon = bench.start();
    expect(await daemon.exited).toBe(2);
    expect(daemon.output()).toMatch(/tailgov\.yaml:4:\d+: .*5ms/);
    expect(existsSync(join(bench.runtime, 'control.sock'))).toBe(false);
  });
});

describe('tailgov doctor', () => {
  it('finds the sensor usable here, and a machine without cpufreq not governable', () => {
    bench = new Bench(echo.config());
    const good = tailgov('doctor', '--sysfs', bench.sysfs, '--json');
    expect(good.status, good.stdout + good.stderr).toBe(0);
    const findings = good.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { check: string; state: string });
    expect(findings).toContainEqual(expect.objectContaining({ check: 'sensor', state: 'ok' }));
    expect(findings).toContainEqual(expect.objectContaining({ check: 'frequency', state: 'ok' }));
    const bare = tailgov('doctor', '--sysfs', bench.folder);
    expect(bare.status).toBe(1);
    expect(bare.stdout).toMatch(/missing +frequency +no cpufreq policy/);
  });
});
