import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bucketLowNs, bucketOf, BUCKETS } from '../../src/core/histogram.ts';
import { BpfObject, variableOffset } from '../../src/native/libbpf.ts';
import { compileBpf } from './support/build-bpf.ts';

let directory: string;
let object: BpfObject;
let kernelBuckets: (timesNs: readonly number[]) => readonly number[];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailgov-bucket-'));
  const file = join(directory, 'bucket-of.bpf.o');
  compileBpf(fileURLToPath(new URL('support/bucket-of.bpf.c', import.meta.url)), file);
  object = BpfObject.open(file);
  object.load();
  const bss = object.map('.bss');
  const { buffer } = bss.mmap({ writable: true });
  const view = (variable: string) => ({ buffer, ...variableOffset(bss, variable) });
  const times = view('times_ns');
  const buckets = view('buckets');
  const timesNs = new BigUint64Array(buffer, times.offset, times.size / 8);
  const computed = new Uint32Array(buffer, buckets.offset, buckets.size / 4);
  kernelBuckets = (asked) => {
    expect(asked.length).toBeLessThanOrEqual(timesNs.length);
    timesNs.set(asked.map(BigInt));
    object.iterate('compute');
    return [...computed.subarray(0, asked.length)];
  };
});
afterAll(() => {
  object.close();
  rmSync(directory, { recursive: true, force: true });
});

it('the kernel puts times into the same buckets as core/histogram.ts, at both sides of every bound', () => {
  const bounds = Array.from({ length: BUCKETS + 1 }, (_, bucket) => bucketLowNs(bucket));
  const timesNs = bounds.flatMap((ns) => [ns, Math.max(0, ns - 1), ns + 1]);
  expect(kernelBuckets(timesNs)).toEqual(timesNs.map(bucketOf));
});

it('and those beyond the last bound into the last bucket', () => {
  const timesNs = [2 ** 39, 2 ** 40, 2 ** 52, Number.MAX_SAFE_INTEGER];
  expect(kernelBuckets(timesNs)).toEqual(timesNs.map(() => BUCKETS - 1));
});

it('and those of every size between', () => {
  const timesNs = Array.from({ length: 4096 }, (_, index) => Math.floor(1.0067 ** index * (1 + (index % 7) / 7)));
  expect(kernelBuckets(timesNs)).toEqual(timesNs.map(bucketOf));
});
