import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeRelease } from './node-release.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Releases besides the one that runs this test. */
const OTHER_NODES = ['22', '24'];
/** A prime number: no doubling and no loss can make it up. */
const REQUESTS = 7;

let folder: string;
let prefix: string;
let program: string;
let server: Server;

/** Tools of this machine without its compilers. */
function bareEnvironment(): NodeJS.ProcessEnv {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const tool of ['sh', 'env', 'node', 'npm']) {
    symlinkSync(execFileSync('which', [tool], { encoding: 'utf8' }).trim(), join(bin, tool));
  }
  return { ...process.env, PATH: bin };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tailgov-npm-'));
  prefix = join(folder, 'prefix');
  program = join(prefix, 'bin/tailgov');
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: ROOT, stdio: 'pipe' });
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
  execFileSync('npm', ['install', '--global', '--prefix', prefix, '--ignore-scripts', join(folder, archive)], {
    env: bareEnvironment(),
    stdio: 'pipe',
  });
  server = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
}, 300_000);

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

describe('the package, installed globally without a compiler', () => {
  it.each([process.versions.node.split('.')[0]!, ...OTHER_NODES])('measures on Node %s', async (release) => {
    const node = process.versions.node.startsWith(`${release}.`)
      ? process.execPath
      : join(nodeRelease(release), 'bin/node');
    expect(execFileSync(node, ['--version'], { encoding: 'utf8' })).toMatch(new RegExp(`^v${release}\\.`));
    const version = spawnSync(node, [program, '--version'], { encoding: 'utf8' });
    expect(version.stdout + version.stderr).toBe(`${packageVersion()}\n`);

    const { port } = server.address() as AddressInfo;
    const observer = spawn(node, [program, 'observe', '--port', String(port), '--json', '--summary']);
    let output = '';
    observer.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    observer.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    const ended = new Promise<number | null>((resolve) => observer.on('close', resolve));
    // Its first window has passed: it sees what comes from here on.
    await new Promise((resolve) => observer.stdout.once('data', resolve));
    for (let sent = 0; sent < REQUESTS; sent++) {
      await (await fetch(`http://127.0.0.1:${port}/`)).text();
    }
    observer.kill('SIGINT');
    expect(await ended, output).toBe(0);
    const summary = JSON.parse(output.trim().split('\n').at(-1)!) as { summary: boolean; requests: number };
    expect(summary).toMatchObject({ summary: true, requests: REQUESTS });
  });

  it('brings the manual page, the unit and the completions', () => {
    expect(readFileSync(join(prefix, 'share/man/man1/tailgov.1'), 'utf8')).toContain('.TH TAILGOV 1');
    const home = join(prefix, 'lib/node_modules/tailgov');
    expect(existsSync(join(home, 'deploy/systemd/tailgov.service'))).toBe(true);
    expect(existsSync(join(home, 'dist/completions/_tailgov'))).toBe(true);
  });

  it('is removed without a trace', () => {
    execFileSync('npm', ['uninstall', '--global', '--prefix', prefix, 'tailgov'], { stdio: 'pipe' });
    const left = readdirSync(prefix, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
    expect(left.map(({ name }) => name)).toEqual([]);
  });
});

const packageVersion = () =>
  (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
