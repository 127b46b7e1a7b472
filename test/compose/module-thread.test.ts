import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { ModuleThread } from '../../src/compose/module-thread.ts';
import type { ModuleAnswer, ModuleRequest } from '../../src/controller/module.ts';
import { input } from '../controller/observation.ts';

/** Long enough for a busy machine, where the module is to answer. */
const PATIENT_MS = 1000;
const REQUEST: ModuleRequest = { input: input() };

const sleep = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const moduleOf = (source: string, deadlineMs = PATIENT_MS) => new ModuleThread(source, deadlineMs);
const threads = () => Number(/Threads:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);

/** Blocks, as the governor does, until the module has been started: no event is ever handled here. */
function ask(hosted: ModuleThread, request = REQUEST): ModuleAnswer {
  for (let i = 0; i < 500; i++) {
    const answer = hosted.ask(request);
    if (answer !== null) return answer;
    sleep(10);
  }
  throw new Error('the module was never started');
}

function refusal(hosted: ModuleThread): string {
  try {
    ask(hosted);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the module answered');
}

describe('ModuleThread', () => {
  it('answers with what the module’s step says of its input', () => {
    const hosted = moduleOf(
      'export const step = ({ appliedLevel, slo }) => ({ level: appliedLevel / 2, reason: `p${slo.quantile * 100}` });',
    );
    expect(hosted.ask(REQUEST)).toBeNull();
    expect(ask(hosted)).toEqual({ level: 0.25, reason: 'p99' });
  });

  it('lets the module keep what it likes, and tells it where it starts from', () => {
    const hosted = moduleOf(
      'let n; export const start = (level) => { n = level; }; export const step = () => ({ level: (n += 0.125) });',
    );
    expect(ask(hosted, { ...REQUEST, startLevel: 0.5 })).toEqual({ level: 0.625, reason: 'the module asks for 0.625' });
    expect(ask(hosted).level).toBe(0.75);
    expect(ask(hosted, { ...REQUEST, startLevel: 0.25 }).level).toBe(0.375);
  });

  it('lets no module touch the input of the next step', () => {
    const hosted = moduleOf(
      'export const step = (input) => { const level = input.appliedLevel; input.appliedLevel = 9; return { level }; };',
    );
    expect([ask(hosted).level, ask(hosted).level]).toEqual([0.5, 0.5]);
  });

  it.each([
    ['throw new Error("no")', 'the module cannot be loaded: no'],
    ['export default 1', 'the module cannot be loaded: it exports no function step'],
    ['export const step = ', 'the module cannot be loaded: Unexpected end of input'],
    ['import "./other.mjs"; export const step = () => 1;', 'the module cannot be loaded: '],
    ['export const step = () => { throw new Error("no"); }', 'the module failed: no'],
    ['export const step = () => { throw { toString() { throw 1; } }; }', 'the module failed: it threw'],
    ['export const step = () => ({ level: NaN })', 'the module failed: its step answered no finite level'],
    ['export const step = () => ({ level: "1" })', 'the module failed: its step answered no finite level'],
    ['export const step = async () => ({ level: 1 })', 'the module failed: its step answered no finite level'],
    ['export const step = () => undefined', 'the module failed: '],
  ])('reports %s', (source, expected) => {
    expect(refusal(moduleOf(source))).toContain(expected);
  });

  it('gives up waiting for an endless loop, and ends its thread when that goes on', () => {
    const before = threads();
    const hosted = moduleOf('export const step = () => { for (;;); };', 30);
    expect(refusal(hosted)).toBe('the module did not answer within 30 ms');
    expect(threads()).toBeGreaterThan(before);
    expect(refusal(hosted)).toBe('the module did not answer within 30 ms, 2 times in a row: its thread was ended');
    expect(refusal(hosted)).toContain('its thread was ended');
    for (let i = 0; i < 200 && threads() > before; i++) sleep(10);
    expect(threads()).toBeLessThanOrEqual(before);
  });

  it('forgives a single late step, and takes no answer to it for one to the next', () => {
    const hosted = moduleOf(
      'let n = 0; export const step = () => { const end = Date.now() + (n === 1 ? 300 : 0); while (Date.now() < end); return { level: n++ / 8 }; };',
      200,
    );
    expect(ask(hosted).level).toBe(0);
    expect(refusal(hosted)).toBe('the module did not answer within 200 ms');
    expect(ask(hosted).level).toBe(0.25);
  });

  it('survives a module that ends its process, runs out of memory or writes without end', () => {
    expect(refusal(moduleOf('export const step = () => process.exit(0);', 200))).toContain('did not answer');
    expect(
      refusal(
        moduleOf('const all = []; export const step = () => { for (;;) all.push(new Array(1e5).fill(1.5)); };', 200),
      ),
    ).toContain('did not answer');
    const noisy = moduleOf(
      'export const step = () => { for (let i = 0; i < 1000; i++) console.log("x".repeat(1000)); return { level: 1 }; };',
    );
    expect(ask(noisy).level).toBe(1);
  });

  it('lets no control character through in a reason', () => {
    const hosted = moduleOf(
      'export const step = () => ({ level: 1, reason: "\\u001b[2Ja\\nb\\u009bc µ" + "x".repeat(9999) });',
    );
    const { reason } = ask(hosted);
    expect(reason).toMatch(/^ \[2Ja b c µx+$/);
    expect(reason.length).toBe(200);
  });

  it('ends a thread that nobody asks any more, and starts another when somebody does', () => {
    const hosted = new ModuleThread('let n = 0; export const step = () => ({ level: n++ });', PATIENT_MS, 50);
    expect([ask(hosted).level, ask(hosted).level]).toEqual([0, 1]);
    sleep(500);
    expect(hosted.ask(REQUEST)).toBeNull();
    expect(ask(hosted).level).toBe(0);
  });
});

describe('a module in a thread that never returns to its event loop', () => {
  it('answers, and is ended when it does not', async () => {
    const entryPoints = [fileURLToPath(new URL('blocked-thread.fixture.ts', import.meta.url))];
    const bundle = { bundle: true, platform: 'node', format: 'cjs', write: false } as const;
    const { outputFiles } = await build({ entryPoints, ...bundle });
    const worker = new Worker(outputFiles[0]!.text, { eval: true });
    const told = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await worker.terminate();
    expect(told).toEqual({
      level: 0.5,
      refusals: [expect.stringContaining('30 ms'), expect.stringContaining('thread was ended')],
    });
  });
});
