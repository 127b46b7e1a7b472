import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { controllers } from '../../src/compose/controllers.ts';
import { railedStep } from '../../src/loop/rails.ts';
import { loadPolicy } from '../../src/policy/load-policy.ts';
import { input } from '../controller/observation.ts';
import { problemsOf, scratchFiles } from '../policy/scratch-files.ts';

const isRoot = process.geteuid?.() === 0;
const files = scratchFiles();
const POLICY = 'controller: module\nparameters:\n  file: own.mjs\n  deadline: 1s\n';

describe('the registry of all controllers', () => {
  it('names every one by its own name', () => {
    expect(Object.entries(controllers).map(([name, kind]) => name === kind.name && name)).toEqual(
      'pid threshold model utilization expression module fixed'.split(' '),
    );
  });

  it('says where a policy names a module that cannot be read', () => {
    const policy = files.write('own.yaml', POLICY);
    expect(problemsOf(() => loadPolicy(policy, controllers))).toEqual([
      expect.stringMatching(/^3:9: .*own\.mjs cannot be run: /),
    ]);
  });

  it.runIf(isRoot)('refuses, as root, a module below a directory that everybody can write', () => {
    files.write('own.mjs', 'export const step = () => ({ level: 1 });');
    const policy = files.write('own.yaml', POLICY);
    expect(problemsOf(() => loadPolicy(policy, controllers))).toEqual([
      expect.stringMatching(/^3:9: .*own\.mjs cannot be run: \/tmp can be written by others than root \(mode 1777\)/),
    ]);
  });

  it.runIf(isRoot)('runs the module that a policy names, relative to the policy, within the limits', () => {
    const directory = mkdtempSync('/root/tailgov-module-');
    try {
      writeFileSync(
        join(directory, 'own.mjs'),
        'export const step = ({ limits }) => ({ level: limits.max + 1, reason: "more" });',
      );
      writeFileSync(join(directory, 'own.yaml'), POLICY);
      const { controller } = loadPolicy(join(directory, 'own.yaml'), controllers);
      let state = controller.initial(0.5);
      const reasons = new Set<string>();
      for (let i = 0; i < 500 && !reasons.has('more'); i++) {
        const step = railedStep(controller, input({}, { limits: { min: 0, max: 0.7 } }), state);
        expect(step.fault).toBeUndefined();
        state = step.state;
        reasons.add(step.reason);
        if (step.reason === 'more') expect(step.level).toBe(0.7);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
      }
      expect([...reasons]).toEqual(['the module is being started: staying at 50 %', 'more']);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
