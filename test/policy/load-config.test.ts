import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { controllers } from '../../src/controller/registry.ts';
import { checkFile } from '../../src/policy/check-file.ts';
import { loadConfig } from '../../src/policy/load-config.ts';
import { problemsOf, scratchFiles } from './scratch-files.ts';

const files = scratchFiles();
const policy = files.write('simple.yaml', 'controller: pid\n');
const load = (text: string) => loadConfig(files.write('tailgov.yaml', text), controllers);

const service = (name: string, port: number) =>
  `  - { name: ${name}, target: { port: ${port} }, slo: { latency: 5ms }, policy: simple.yaml }\n`;

describe('loadConfig()', () => {
  it('reads everything that it knows', () => {
    const config = load(`mode: dry-run
services:
  - name: cache
    target: { ports: [11211, 11212] }
    slo: { quantile: p99.9, latency: 1.5ms, window: 10min }
    policy: ${policy}
actuators: { frequency: { method: pin, min: 1.2GHz, max: 3GHz, boost: off, foreignWriter: yield } }
onExit: max
runtimeDirectory: /tmp/tailgov
`);
    expect(config).toMatchObject({
      mode: 'dry-run',
      services: [
        {
          name: 'cache',
          target: { ports: [11211, 11212] },
          slo: { quantile: 0.999, latencyNs: 1_500_000, windowMs: 600_000 },
          policy: { file: policy, controllerName: 'pid' },
        },
      ],
      frequency: { method: 'pin', minKhz: 1_200_000, maxKhz: 3_000_000, boost: 'off', foreignWriter: 'yield' },
      onExit: 'max',
      runtimeDirectory: '/tmp/tailgov',
    });
  });

  it('needs little, and finds the policy beside the config', () => {
    const config = load(`services:\n${service('web', 80)}`);
    expect(config).toEqual({
      file: resolve(files.directory, 'tailgov.yaml'),
      mode: 'govern',
      services: [
        {
          name: 'web',
          target: { ports: [80] },
          protocol: 'auto',
          slo: { quantile: 0.99, latencyNs: 5_000_000, windowMs: 60_000 },
          cores: { min: 1, reserved: [] },
          policy: expect.objectContaining({ file: policy }) as unknown,
          configuredPolicy: policy,
        },
      ],
      frequency: { method: 'auto', boost: 'leave', foreignWriter: { overridesPerMinute: 3 } },
      affinity: { method: 'auto', force: false },
      planner: { strategy: 'frequency' },
      telemetry: { metrics: { host: '127.0.0.1', port: 9750 }, dashboard: 'auto', powerModel: 'auto' },
      onExit: 'original',
    });
  });

  it('tells all problems at once, those of the policies too', () => {
    files.write('bad.yaml', 'controller: pid\nparameters: { kp: -1 }\n');
    const text = `services:
  - name: cache
    target: { prt: 11211 }
    slo: { quantile: p99, latency: 5, window: 1min }
    policy: bad.yaml
  - name: 'a b'
    target: { port: 1, ports: [99999] }
    slo: { latency: 1ms }
    policy: nowhere.yaml
    cores: { min: 0 }
    core: 2
planner: { strategy: packed }
onExit: orignal
metrics: {}
`;
    expect(problemsOf(() => load(text))).toEqual([
      '3:15: unknown key "prt", did you mean "port"? expected port, ports, netns, pid, unit, cgroup, container, unix or protocol',
      '4:36: 5 given, expected a duration from 1us up to 10min such as 5ms, 1.5s or 1min',
      '6:11: "a b" given, expected a name of up to 63 letters, digits, dots, dashes and underscores',
      '7:13: port and ports given, expected one of them',
      '7:32: 99999 given, expected at most 65535',
      '10:19: 0 given, expected at least 1',
      '11:5: unknown key "core", did you mean "cores"? expected name, target, slo, cores or policy',
      '12:22: "packed" given, did you mean "pack"? expected frequency, cores or pack',
      '13:9: "orignal" given, did you mean "original"? expected original, max or leave',
      '14:1: unknown key "metrics", expected mode, services, actuators, planner, telemetry, onExit or runtimeDirectory',
      '2:19: -1 given, expected at least 0',
      expect.stringMatching(/^9:13: policy .*nowhere\.yaml cannot be read: ENOENT: no such file or directory$/),
    ]);
  });

  it('takes a port of UDP for another than the same of TCP, and in our own network namespace alone', () => {
    const udp = (name: string, target: string) =>
      `  - { name: ${name}, target: { ${target}, protocol: udp }, slo: { latency: 5ms }, policy: simple.yaml }\n`;
    const config = load(`services:\n${service('tcp', 53)}${udp('dns', 'port: 53')}`);
    expect(config.services.map(({ target, protocol }) => [target.ports, protocol])).toEqual([
      [[53], 'auto'],
      [[53], 'udp'],
    ]);
    expect(problemsOf(() => load(`services:\n${udp('dns', 'port: 53')}${udp('other', 'ports: [54, 53]')}`))).toEqual([
      expect.stringContaining('UDP port 53 is taken by service 1, expected another'),
    ]);
    expect(problemsOf(() => load(`services:\n${udp('dns', 'unit: dnsmasq')}`))).toEqual([
      expect.stringContaining(
        'protocol udp given, expected it beside a port or ports of our own network namespace alone',
      ),
    ]);
  });

  it('refuses a name or a port that is taken, at its place', () => {
    expect(problemsOf(() => load(`services:\n${service('web', 80)}${service('web', 80)}`))).toEqual([
      '3:13: name web is taken by service 1, expected another',
      '3:34: port 80 is taken by service 1, expected another',
    ]);
    const list =
      'services:\n  - { name: a, target: { ports: [80, 81, 80] }, slo: { latency: 1ms }, policy: simple.yaml }\n';
    expect(problemsOf(() => load(list))).toEqual(['2:42: port 80 is taken by service 1, expected another']);
  });

  it('refuses an upside-down frequency range, no services, no port and a relative runtime directory', () => {
    const one = `services:\n${service('web', 80)}`;
    expect(problemsOf(() => load(`${one}actuators: { frequency: { min: 2GHz, max: 800MHz } }\n`))).toEqual([
      '3:32: 2.00 GHz given, expected at most max, 800 MHz',
    ]);
    const writer = (text: string) => `${one}actuators: { frequency: { foreignWriter: ${text} } }\n`;
    expect(load(writer('{ overridesPerMinute: 10 }')).frequency.foreignWriter).toEqual({ overridesPerMinute: 10 });
    expect(problemsOf(() => load(writer('fight')))).toEqual([
      '3:42: "fight" given, expected yield or { overridesPerMinute: 1 to 60 }',
    ]);
    expect(problemsOf(() => load(writer('{ overridesPerMinute: 0 }')))).toHaveLength(1);
    expect(problemsOf(() => load('services: []\n'))[0]).toBe('1:11: [] given, expected at least 1 entry');
    expect(problemsOf(() => load(one.replace('port: 80', '')))).toEqual([
      '2:26: no place given, expected one of ports, pid, unit, cgroup, container, unix',
    ]);
    expect(problemsOf(() => load('services: [{ target: { port: 80 }, slo: {} }]\n'))).toEqual([
      '1:12: name is missing, expected a name of up to 63 letters, digits, dots, dashes and underscores',
      '1:12: policy is missing, expected a policy’s file name',
      '1:41: latency is missing, expected a duration from 1us up to 10min such as 5ms, 1.5s or 1min',
    ]);
    expect(problemsOf(() => load(`${one}runtimeDirectory: run\n`))).toEqual([
      '3:19: "run" given, expected an absolute directory',
    ]);
  });
});

describe('checkFile()', () => {
  it('tells a config from a policy by what is in it', () => {
    const config = files.write('either.yaml', `services:\n${service('web', 80)}`);
    expect(checkFile(config, controllers).kind).toBe('config');
    expect(checkFile(policy, controllers).kind).toBe('policy');
    expect(problemsOf(() => checkFile(files.write('neither.yaml', 'a: 1\n'), controllers))).toEqual([
      '1:1: neither kind of file, expected a policy with the key controller or a config with the key services',
    ]);
  });
});
