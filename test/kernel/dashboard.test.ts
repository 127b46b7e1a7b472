import { createServer, type AddressInfo, type Server as TcpServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Chromium } from './support/chromium.ts';
import { Bench, ROOT } from './support/daemon.ts';
import { RawClient } from './support/raw-client.ts';
import { startRedis, type Server } from './support/servers.ts';

/** A chart is drawn shortly after what changes it. */
const PATIENCE = { timeout: 20_000 };

let redis: Server;
let idle: TcpServer;
let bench: Bench;
let daemon: ReturnType<Bench['start']>;
let chromium: Chromium;
let origin: string;
let loading = true;
let loaded: Promise<void>;

/** One request in a hundred waits 60 ms, beyond the SLO. */
async function load(): Promise<void> {
  const client = await RawClient.connect(redis.port);
  for (let request = 0; loading; request++) {
    if (request % 100 === 99) await client.exchange('BLPOP nothing 0.06\r\n', '*-1\r\n'.length);
    else await client.exchange('PING\r\n', '+PONG\r\n'.length);
    await sleep(3);
  }
  await client.close();
}

beforeAll(async () => {
  redis = await startRedis();
  idle = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => idle.once('listening', done));
  const policy = join(ROOT, 'policies/pid.yaml');
  bench = new Bench(`services:
  - name: cache
    target: { port: ${redis.port} }
    slo: { quantile: p99, latency: 50ms, window: 1min }
    policy: ${policy}
  - name: idle-one
    target: { port: ${(idle.address() as AddressInfo).port} }
    slo: { quantile: p95, latency: 5ms, window: 1min }
    policy: ${policy}
telemetry: { metrics: '127.0.0.1:0', powerModel: i7-1165g7 }
`);
  daemon = bench.start();
  await bench.governing();
  origin = (await bench.client.status()).metrics!;
  loaded = load();
  chromium = await Chromium.start();
  await chromium.look({ dark: false });
  await chromium.open(`${origin}/dashboard`);
}, 120_000);

afterAll(async () => {
  loading = false;
  await loaded;
  await chromium?.close();
  await bench?.close();
  idle?.close();
  await redis?.stop();
});

const text = (selector: string) => `document.querySelector('${selector}').textContent`;
const count = (selector: string) => `document.querySelectorAll('${selector}').length`;

/** The opaque colours on the canvas of a chart, such as `31,95,214`. */
const colorsOf = (chart: string) =>
  chromium.evaluate<string[]>(`(() => {
    const canvas = document.querySelector('#${chart} canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const colors = new Set();
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] === 255) colors.add(data.slice(at, at + 3).join());
    }
    return [...colors];
  })()`);

describe('the dashboard in a browser', () => {
  it('draws what the daemon sees', async () => {
    await chromium.until(`${count('#tiles .tile')} === 7 && ${count('#decisions tr')} > 0`);
    await chromium.until(`document.querySelector('#load .u-legend').textContent.includes('/s')`);
    expect(await chromium.evaluate(`${count('.plot canvas')}`)).toBe(8);
    expect(await chromium.evaluate(text('#state'))).toBe('governing');
    const tiles = await chromium.evaluate<string>(text('#tiles'));
    expect(tiles).toMatch(/load\d.*\/s/);
    expect(tiles).toContain('objective 50 ms');
    expect(tiles).toContain('Intel Core i7-1165G7');
    expect(await chromium.evaluate(text('#reason'))).toMatch(/^pidpid\.yaml/);
    expect(await chromium.evaluate(text('#power'))).toContain('not measured');
  });

  it('has lines in its charts, and the SLO where latencies are', async () => {
    await chromium.until(`${text('#latency .u-legend')}.includes('s')`);
    // The median, the tail and the objective, in the colours of the light scheme.
    for (const color of ['31,95,214', '180,95,6', '192,38,45']) {
      await expect.poll(() => colorsOf('latency'), PATIENCE).toContain(color);
    }
    await expect.poll(() => colorsOf('frequency'), PATIENCE).toContain('139,63,196');
  });

  it('has a heat map of many shades', async () => {
    // What is drawn most, in the strongest shade.
    await chromium.until(`${text('#services')}.includes('cache')`);
    await expect.poll(() => colorsOf('heat'), PATIENCE).toContain('10,45,120');
  });

  it('is dark where the reader likes it dark', async () => {
    const paper = () => chromium.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    const light = await paper();
    await chromium.look({ dark: true });
    expect(await paper()).not.toBe(light);
    await expect.poll(() => colorsOf('latency'), PATIENCE).toContain('110,168,255');
    await expect.poll(() => colorsOf('heat'), PATIENCE).toContain('190,222,255');
    await chromium.look({ dark: false });
    await expect.poll(() => colorsOf('latency'), PATIENCE).toContain('31,95,214');
  });

  it('shows another service when it is chosen, and remembers it in its address', async () => {
    await chromium.evaluate(`[...document.querySelectorAll('#services button')][1].click()`);
    await chromium.until(`${text('#tiles')}.includes('objective 5 ms')`);
    expect(await chromium.evaluate('location.hash')).toBe('#idle-one');
    expect(await chromium.evaluate(text('#tiles'))).toContain('p95 of the last second–');
    expect(await chromium.evaluate(`${count('.plot canvas')}`)).toBe(8);
    await chromium.evaluate(`[...document.querySelectorAll('#services button')][0].click()`);
    await chromium.until(`${text('#tiles')}.includes('objective 50 ms')`);
  });

  it('shows shorter and longer spans', async () => {
    await chromium.evaluate(`[...document.querySelectorAll('#spans button')][2].click()`);
    expect(await chromium.evaluate(`${text('#spans [aria-pressed=true]')}`)).toBe('15 min');
    expect(await chromium.evaluate(`${count('.plot canvas')}`)).toBe(8);
  });

  it('tells when a policy was swapped, and when it is paused', async () => {
    await bench.client.swapPolicy('cache', join(ROOT, 'policies/threshold.yaml'), false);
    await chromium.until(`${text('#policies')}.includes('threshold.yaml')`);
    await chromium.until(`${text('#reason')}.startsWith('threshold')`);
    await bench.client.pause();
    await chromium.until(`${text('#state')} === 'paused'`);
    await bench.client.resume();
    await chromium.until(`${text('#state')} === 'governing'`);
  });

  it.each([390, 800, 1400, 2000])('fits a window of %i pixels', async (width) => {
    await chromium.look({ dark: false, width });
    await sleep(400);
    expect(await chromium.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
  });

  it('fetched nothing from elsewhere, and had nothing to complain of', () => {
    expect(
      chromium.fetched.filter((url) => !url.startsWith(`${origin}/dashboard`) && !url.startsWith('data:')),
    ).toEqual([]);
    expect(chromium.fetched.length).toBeGreaterThan(3);
    expect(chromium.complaints).toEqual([]);
  });

  it('says so when the daemon is gone, and keeps what it has', async () => {
    daemon.process.kill('SIGTERM');
    await daemon.exited;
    await chromium.until(`!document.getElementById('lost').hidden`);
    expect(await chromium.evaluate(text('#lost'))).toMatch(/^no answer for \d+ s/);
    expect(await chromium.evaluate(`${count('.plot canvas')}`)).toBe(8);
  });
});
