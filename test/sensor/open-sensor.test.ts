import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSensor, type TargetSpec } from '../../src/sensor/open-sensor.ts';

let emptyDirectory: string;
beforeAll(() => void (emptyDirectory = mkdtempSync(join(tmpdir(), 'tailgov-no-probes-'))));
afterAll(() => rmSync(emptyDirectory, { recursive: true }));

/** Nothing is compiled in an empty folder: what is wrong with the targets must be found before that. */
const open = (targets: readonly TargetSpec[], extendGapNs?: number) =>
  openSensor({ targets, objectDirectory: emptyDirectory, ...(extendGapNs === undefined ? {} : { extendGapNs }) });

describe('openSensor() refuses', () => {
  it.each<[string, readonly TargetSpec[], object | RegExp]>([
    ['no target', [], { code: 'no-such-target' }],
    ['a target without a port', [{ name: 'a', ports: [] }], { code: 'no-such-target' }],
    [
      'more targets than fit',
      Array.from({ length: 65 }, (_, index) => ({ name: `${index}`, ports: [index + 1] })),
      { code: 'too-many-targets' },
    ],
    ['port 0', [{ name: 'a', ports: [0] }], /target a: port 0, expected 1\.\.65535/],
    ['port 65536', [{ name: 'a', ports: [65_536] }], /port 65536/],
    ['half a port', [{ name: 'a', ports: [1.5] }], /port 1\.5/],
    [
      'a port of two targets',
      [
        { name: 'a', ports: [1] },
        { name: 'b', ports: [2, 1] },
      ],
      /port 1 is of target a and of target b/,
    ],
    [
      'datagrams of another namespace',
      [{ name: 'a', ports: [53], netns: 'blue', protocol: 'udp' }],
      /target a: protocol udp, expected it beside ports/,
    ],
    [
      'connections to a Unix-domain socket as requests',
      [{ name: 'a', unix: '/run/a.sock', protocol: 'connection' }],
      /target a: protocol connection, expected it of TCP/,
    ],
    ['an objective of 0', [{ name: 'a', ports: [1], sloLatencyNs: 0 }], /sloLatencyNs is 0/],
    ['no budget', [{ name: 'a', ports: [1], alarm: { lateBudget: 0, waitBudgetNs: 1 } }], /lateBudget is 0/],
    ['no wait', [{ name: 'a', ports: [1], alarm: { lateBudget: 1, waitBudgetNs: Number.NaN } }], /waitBudgetNs is NaN/],
    [
      'less than none of the late ones',
      [{ name: 'a', ports: [1], alarm: { lateBudget: 1, waitBudgetNs: 1, lateRatio: -0.1 } }],
      /target a: alarm\.lateRatio is -0\.1, expected 0 or more/,
    ],
    [
      'no share of the waiting ones',
      [{ name: 'a', ports: [1], alarm: { lateBudget: 1, waitBudgetNs: 1, waitingRatio: Infinity } }],
      /target a: alarm\.waitingRatio is Infinity, expected 0 or more/,
    ],
  ])('%s', (_, targets, expected) => {
    expect(() => open(targets)).toThrow(expected instanceof RegExp ? expected : expect.objectContaining(expected));
  });

  it.each([-1, 0.5, Number.NaN, Infinity])('a gap of %d ns', (extendGapNs) => {
    expect(() => open([{ name: 'a', ports: [1] }], extendGapNs)).toThrow(/extendGapNs/);
  });

  it('to start without compiled probes, and says where it looked', () => {
    expect(() => open([{ name: 'a', ports: [1, 1, 2] }])).toThrow(
      expect.objectContaining({ code: 'object-missing', message: expect.stringContaining(emptyDirectory) as string }),
    );
  });
});
