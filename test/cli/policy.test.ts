import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { policyCommand } from '../../src/cli/policy.ts';
import { PolicyError } from '../../src/core/errors.ts';
import { scratchFiles } from '../policy/scratch-files.ts';

const files = scratchFiles();
let printed = '';

beforeEach(() => {
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

const run = (...argv: string[]) => policyCommand().parseAsync(argv, { from: 'user' });

describe('policy check', () => {
  it('prints files with every default filled in', async () => {
    await run('check', files.write('short.yaml', 'controller: fixed\ninterval: 1.5s\n'));
    expect(printed).toContain('short.yaml: policy, ok');
    expect(printed).toContain('interval: 1500ms');
    expect(printed).toContain('parameters:\n  level: 1\n');
  });

  it('tells the problems of all files, once', async () => {
    const bad = files.write('bad.yaml', 'controller: pd\n');
    const failure: unknown = await run('check', bad, bad, '/nowhere.yaml').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(PolicyError);
    expect((failure as PolicyError).message.split('\n')).toEqual([
      `${bad}:1:13: "pd" given, did you mean "pid"? expected pid, threshold, model, utilization, expression, module or fixed`,
      '/nowhere.yaml:1:1: cannot be read: ENOENT: no such file or directory',
    ]);
  });

  it('tells them as JSON, and with the exit code', async () => {
    await run('check', '--json', 'policies/pid.yaml', '/nowhere.yaml');
    const reports = printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(reports).toMatchObject([
      { file: 'policies/pid.yaml', ok: true, kind: 'policy', resolved: { interval: '100ms' }, problems: [] },
      { file: '/nowhere.yaml', ok: false, problems: [{ line: 1, column: 1 }] },
    ]);
    expect(process.exitCode).toBe(2);
  });

  it('prints a config that means the same when it is read again', async () => {
    const policy = files.write('p.yaml', 'controller: pid\n');
    const config = files.write(
      'c.yaml',
      `services: [{ name: w, target: { port: 80 }, slo: { latency: 250us }, policy: ${policy} }]\nactuators: { frequency: { min: 1234567kHz } }\n`,
    );
    await run('check', config);
    const first = printed;
    printed = '';
    const again = files.write('again.yaml', first);
    await run('check', again);
    expect(printed.replace(again, config)).toBe(first);
  });

  it.each([
    [
      'the defaults',
      '',
      'cores: {}',
      { strategy: 'frequency' },
      { method: 'auto', force: false },
      { min: 1, reserved: [] },
    ],
    [
      'what the file says',
      'planner: { strategy: pack }\nactuators: { affinity: { method: cgroup2, force: true } }\n',
      'cores: { min: 2, reserved: [0, 3] }',
      { strategy: 'pack' },
      { method: 'cgroup2', force: true },
      { min: 2, reserved: [0, 3] },
    ],
  ])('shows CPUs, affinity and planner of a config: %s', async (_, text, cores, planner, affinity, resolvedCores) => {
    const policy = files.write('p.yaml', 'controller: pid\n');
    const config = files.write(
      'c.yaml',
      `services: [{ name: w, target: { port: 80, protocol: http2 }, slo: { latency: 1ms }, ${cores}, policy: ${policy} }]\n${text}`,
    );
    await run('check', '--json', config);
    const { resolved } = JSON.parse(printed) as { resolved: unknown };
    expect(resolved).toMatchObject({
      services: [{ target: { ports: [80], protocol: 'http2' }, cores: resolvedCores }],
      actuators: { frequency: { boost: 'leave', foreignWriter: { overridesPerMinute: 3 } }, affinity },
      planner,
    });
  });
});

describe('policy schema and policy list', () => {
  it('print JSON Schemas of both kinds of file', async () => {
    await run('schema');
    expect(JSON.parse(printed)).toMatchObject({ title: 'tailgov policy', required: ['controller'] });
    printed = '';
    await run('schema', 'config');
    expect(JSON.parse(printed)).toMatchObject({ title: 'tailgov config', required: ['services'] });
  });

  it('list controllers, parameters and ready policies', async () => {
    await run('list');
    expect(printed).toMatch(/^pid\n/);
    expect(printed).toMatch(/setpoint +0\.\d+ /);
    expect(printed).toMatch(/policies\/threshold\.yaml/);
    printed = '';
    await run('list', '--json');
    expect(JSON.parse(printed)).toMatchObject({
      controllers: ['pid', 'threshold', 'model', 'utilization', 'expression', 'module', 'fixed'].map((name) => ({
        name,
      })),
    });
  });
});
