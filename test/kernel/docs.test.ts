import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ANY_PORT, Bench, CLI, configOf, MACHINE, ROOT, tailgov, until } from './support/daemon.ts';
import { commandsIn, hiddenCommandsIn, pages } from './support/page-commands.ts';
import { startRedis, type Server } from './support/servers.ts';

const SYSTEMD = 'it needs a machine with systemd: test/vm/service.test.ts runs the unit under one';
const DEB = 'test/vm/service-deb.test.ts and test/deploy/package-deb.test.ts build, install and purge the package';
const NPM = 'test/vm/service-npm.test.ts packs, installs and removes the package';
/** What is not run here, and why. Everything else that a page shows is. */
const TORTURE = 'it takes hours: its files run among these tests with small counts';
const MEASURE = 'it takes an hour: test/kernel/measure.test.ts measures in short blocks';
const NOT_RUN: Readonly<Record<string, string>> = {
  'npm start': 'it installs and runs the demo: test/demo and the CI start it',
  'npm test': 'this is part of it',
  'git clone REPOSITORY tailgov && cd tailgov': 'the repository is yours to choose',
  'npm run package:deb': DEB,
  'sudo apt install ./dist/tailgov_0.1.0_amd64.deb': DEB,
  'sudo apt install ./dist/tailgov-with-node_0.1.0_amd64.deb': DEB,
  'node deploy/package-deb.mjs --with-node ~/node-v24': DEB,
  'sudo apt purge tailgov': DEB,
  'npm pack': NPM,
  'sudo npm install --global --ignore-scripts ./tailgov-0.1.0.tgz': NPM,
  'sudo npm uninstall --global tailgov': NPM,
  'sudo cp "$(npm root --global)/tailgov/deploy/systemd/tailgov.service" /etc/systemd/system/': SYSTEMD,
  'sudo systemctl daemon-reload': SYSTEMD,
  'sudo systemctl enable --now tailgov': SYSTEMD,
  'sudo systemctl disable --now tailgov': SYSTEMD,
  'sudo systemctl restart tailgov': SYSTEMD,
  'sudo systemctl stop tailgov': SYSTEMD,
  'systemctl status tailgov': SYSTEMD,
  'sudo rm -rf /etc/systemd/system/tailgov.service /etc/systemd/system/tailgov.service.d /etc/default/tailgov /etc/tailgov /run/tailgov':
    SYSTEMD,
  'ssh -L 9750:127.0.0.1:9750 server.example.org': 'it needs another machine',
  'prometheus --config.file deploy/prometheus/prometheus.yml --storage.tsdb.path /tmp/prometheus --web.listen-address 127.0.0.1:9090':
    'it goes on for ever: test/kernel/prometheus.test.ts runs a Prometheus over the metrics, the rules and the dashboard',
  "promtool query instant http://127.0.0.1:9090 'tailgov_cpu_frequency_hertz'":
    'it asks that Prometheus: test/kernel/prometheus.test.ts asks one such queries',
  'sudo rm -r /etc/tailgov /run/tailgov': 'it would take away what the other commands here use',
  'tailgov simulate --policy model --baseline all --workload web-search --trace step --trace mmpp --seeds 5':
    'it takes a minute: test/study runs such sweeps',
  'tailgov measure --blocks 20 --block 1min --warmup 10s': MEASURE,
  'sudo tailgov policy tune --live cache --bounds setpoint=0.7..0.9 --block 5min --output tuned.yaml':
    'it takes an hour: test/kernel/tune-live.test.ts tunes in short blocks',
  'npm run torture': TORTURE,
  'npm run bench:accuracy': 'it takes minutes, and both CPUs: nothing that a test may do',
  'npm run bench:overhead': 'it takes minutes, and both CPUs: nothing that a test may do',
  'npm run torture -- --share 0.05': TORTURE,
  'npm run torture -- --share 0.1 test/kernel/torture-overload.test.ts test/kernel/torture-sensor.test.ts': TORTURE,
  'npm run torture -- --seed 77 test/kernel/torture-kill.test.ts': TORTURE,
  'sudo tailgov measure --blocks 20 --block 5min': MEASURE,
};

let redis: Server;
let bench: Bench;
let metrics: string;
let client: ChildProcess;
let made = 0;

beforeAll(async () => {
  redis = await startRedis();
  bench = new Bench(configOf({ name: 'cache', port: redis.port }, ANY_PORT));
  makeDesk();
  expect(tailgov('mock', 'create', MACHINE, spare()).status).toBe(0);
  bench.start();
  await bench.governing();
  metrics = (await bench.client.status()).metrics!;
  // Somebody uses the server all the time: pages measure it and record it.
  client = spawn('redis-cli', ['-p', `${redis.port}`, '-r', '-1', '-i', '0.01', 'ping'], { stdio: 'ignore' });
  await until('some ticks and requests are there', async () => {
    const { ticks, last } = await bench.client.status();
    return ticks.count > 10 && (last?.services[0]?.snapshot.requests ?? 0) > 0;
  });
});

afterAll(async () => {
  client?.kill();
  await bench?.close();
  await redis?.stop();
});

/** A machine for daemons and checks beside the daemon that runs all the time. */
const spare = () => join(bench.folder, 'spare');
const desk = () => join(bench.folder, 'desk');

/** Where a reader stands: a checkout with a config of theirs, and the commands on the PATH. */
function makeDesk(): void {
  mkdirSync(join(desk(), 'bin'), { recursive: true });
  for (const name of ['policies', 'deploy']) symlinkSync(join(ROOT, name), join(desk(), name));
  symlinkSync(bench.config, join(desk(), 'tailgov.yaml'));
  const sweep = /```yaml\n(# sweep\.yaml\n.*?)```/s.exec(readFileSync(join(ROOT, 'docs/simulation.md'), 'utf8'));
  writeFileSync(join(desk(), 'sweep.yaml'), sweep![1]!);
  const scripts = {
    tailgov: `exec '${process.execPath}' '${CLI}' "$@"`,
    npx: 'exec "$@"',
    sudo: 'exec "$@"',
  };
  for (const [name, script] of Object.entries(scripts)) {
    const file = join(desk(), 'bin', name);
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
  }
}

/** The places of this test instead of the usual ones, seconds instead of minutes, and an end for what goes on for ever. */
function here(command: string): string {
  const another = join(bench.folder, `another-${++made}`);
  return command
    .replace(/^tailgov init(?= -|$)/, `tailgov init ${another}`)
    .replace(/^(tailgov run)(?!.*--config)/, `$1 --config ${bench.config}`)
    .replace(/^(tailgov run)(?!.*--sysfs)/, `$1 --sysfs ${spare()}`)
    .replace(/^(tailgov run)(?!.*--duration)/, '$1 --duration 1s')
    .replace(/^(tailgov (?:init|observe|run) .*--(?:observe|duration)) \S+/, '$1 1s')
    .replace(/^tailgov run/, `RUNTIME_DIRECTORY=${another} tailgov run`)
    .replace(/^tailgov restore/, `RUNTIME_DIRECTORY=${another} tailgov restore`)
    .replace(/^(tailgov doctor)(?!.*--sysfs)/, `$1 --sysfs ${spare()}`)
    .replace(/^tailgov top/, 'timeout -s INT 2 tailgov top || test $? = 124')
    .replace(/^(tailgov simulate .*--duration) \S+/, '$1 20s')
    .replace(/--port 6379\b/, `--port ${redis.port}`)
    .replaceAll('/tmp/machine', join(bench.folder, 'machine'))
    .replaceAll('/run/tailgov', bench.runtime)
    .replaceAll('/etc/tailgov/policies', join(ROOT, 'policies'))
    .replaceAll('/etc/tailgov', bench.folder)
    .replaceAll('http://127.0.0.1:9750', metrics);
}

/** `sudo` and `npx` say who runs a command and where it comes from; a pipe or a list of commands stays what it is. */
const plain = (command: string) => command.replace(/^(sudo |npx )+/, '');

const run = (command: string) =>
  spawnSync('sh', ['-c', here(plain(command))], {
    cwd: desk(),
    encoding: 'utf8',
    timeout: 40_000,
    env: { ...process.env, PATH: `${desk()}/bin:${process.env['PATH']}`, RUNTIME_DIRECTORY: bench.runtime },
  });

/** What of a documented answer is not so in the real one: other types, missing fields. `null` stands for what may be absent. */
function differences(documented: unknown, real: unknown, path = 'answer'): string[] {
  if (documented === null || real === null) return real === undefined ? [`${path} is missing`] : [];
  if (typeof documented !== typeof real) return [`${path} is a ${typeof real}`];
  if (Array.isArray(documented)) {
    if (!Array.isArray(real) || real.length === 0) return documented.length === 0 ? [] : [`${path} is empty`];
    return documented.length === 0 ? [] : differences(documented[0], real[0], `${path}[0]`);
  }
  if (typeof documented !== 'object') return [];
  return Object.entries(documented).flatMap(([key, value]) =>
    differences(value, (real as Record<string, unknown>)[key], `${path}.${key}`),
  );
}

const everyCommand = pages().flatMap(commandsIn);

describe('what pages tell to type', () => {
  it.each(everyCommand.filter(({ command }) => !Object.hasOwn(NOT_RUN, command)))(
    'works: $page: $command',
    ({ command, answer }) => {
      const { status, stdout, stderr } = run(command);
      expect(status, stdout + stderr).toBe(0);
      if (answer === undefined) return;
      const documented = JSON.parse(answer) as Record<string, unknown>;
      const real = JSON.parse(stdout) as Record<string, unknown>;
      expect(differences(documented, real)).toEqual([]);
      // Words that a reader would match.
      for (const key of ['state', 'service', 'lasts', 'error']) {
        if (documented[key] !== undefined) expect(real[key]).toBe(documented[key]);
      }
    },
  );

  it('is left out here only while it is shown', () => {
    const shown = new Set(everyCommand.map(({ command }) => command));
    expect(Object.keys(NOT_RUN).filter((command) => !shown.has(command))).toEqual([]);
  });

  it('stands in blocks that this test reads', () => {
    const hidden = pages().flatMap((page) => hiddenCommandsIn(page).map((line) => `${page}: ${line.trim()}`));
    expect(hidden).toEqual([]);
  });
});

describe('docs/control-socket.md', () => {
  it('has an example of every route, with its answer', () => {
    const source = readFileSync(join(ROOT, 'src/telemetry/control-server.ts'), 'utf8');
    const routes = [...source.matchAll(/'(GET|POST) (\/v1\/\w+)'/g)].map(([, method, path]) => `${method} ${path}`);
    const examples = commandsIn('docs/control-socket.md');
    const shown = examples.map(
      ({ command }) => `${command.includes('-X POST') ? 'POST' : 'GET'} ${/localhost(\/v1\/\w+)/.exec(command)![1]}`,
    );
    expect(routes.length).toBeGreaterThan(4);
    expect(new Set(shown)).toEqual(new Set(routes));
    expect(examples.filter(({ answer }) => answer === undefined)).toEqual([]);
  });
});

describe('docs/operate.md', () => {
  it('names metrics that there are', () => {
    const { stdout } = run('curl -s http://127.0.0.1:9750/metrics');
    const exist = new Set([...stdout.matchAll(/^# HELP (\w+)/gm)].map(([, name]) => name!));
    const text = readFileSync(join(ROOT, 'docs/operate.md'), 'utf8');
    const named = [...text.matchAll(/`(tailgov_\w+)`/g)].map(([, name]) => name!);
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((name) => !exist.has(name))).toEqual([]);
  });
});

describe('docs/dashboard.md', () => {
  it('names a page that is there', async () => {
    const text = readFileSync(join(ROOT, 'docs/dashboard.md'), 'utf8');
    const paths = new Set(
      [...text.matchAll(/http:\/\/(?:127\.0\.0\.1|localhost):9750(\/\w+)/g)].map(([, path]) => path!),
    );
    expect(paths).toEqual(new Set(['/dashboard']));
    for (const path of [...paths, '/dashboard/data?after=1']) {
      expect((await fetch(`${metrics}${path}`)).status).toBe(200);
    }
  });
});

describe('docs/policies.md', () => {
  it('shows what a check of a bad file says', () => {
    const text = readFileSync(join(ROOT, 'docs/policies.md'), 'utf8');
    const shown = [...text.matchAll(/^ *web\.yaml:\d+:\d+: (.*?)(?:[,?] expected .*)?$/gm)].map(
      ([, message]) => message!,
    );
    const file = join(bench.folder, 'web.yaml');
    writeFileSync(file, '# how\ncontroller: pid\ninterval: 100\nparameters:\n  budgte: 1\n');
    const { status, stderr } = tailgov('policy', 'check', file);
    expect(status).toBe(2);
    expect(shown).toHaveLength(2);
    for (const message of shown) expect(stderr).toContain(message);
  });
});
