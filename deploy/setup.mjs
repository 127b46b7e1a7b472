#!/usr/bin/env node
/**
 * Makes a fresh clone ready: `node deploy/setup.mjs --for start|build|test|ci`. Checks Node, installs npm's and Debian's packages
 * and builds, each only where something is lacking; deploy/requirements.mjs lists what is needed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, BuildError, isUpToDate } from './build.mjs';
import { isInstalled } from './installed-packages.mjs';
import { missingRequirements } from './requirements.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** What each purpose needs of deploy/requirements.mjs; `start` builds only where dist/ is not up to date. */
const PURPOSES = {
  start: ['run'],
  build: ['run', 'build'],
  test: ['run', 'build', 'test', 'vm'],
  ci: ['run', 'build', 'test'],
};
/** What may go on where something is missing that cannot be installed from here, and how. */
const WITHOUT = { start: 'the demo will run on a simulated server', test: 'some tests will be left out' };
const LEAST_NODE = [20, 19];

/** A failure that the reader can act on: shown without a stack. */
class SetupError extends Error {}

const say = (text) => console.error(`setup: ${text}`);

async function setUp(purpose) {
  checkNode();
  installNodePackages();
  const canCompile = installDebianPackages(purpose);
  const stages = ['bpf', 'bundle', ...(purpose === 'ci' ? ['types'] : [])];
  const built = await build({ root: ROOT, stages: canCompile ? stages : stages.filter((stage) => stage !== 'bpf') });
  if (built.length > 0) say(`built ${built.join(', ')}`);
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1])) return;
  throw new SetupError(`this is Node ${process.versions.node}; tailgov needs Node ${LEAST_NODE.join('.')} or newer`);
}

// --- npm

function installNodePackages() {
  const record = join(ROOT, 'node_modules', '.package-lock.json');
  if (existsSync(record) && isInstalled(packagesOf(join(ROOT, 'package-lock.json')), packagesOf(record))) return;
  say('installing npm packages (npm ci)');
  // No package of ours needs its install script: koffi and esbuild bring their native parts as packages.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']);
}

const packagesOf = (lockfile) => JSON.parse(readFileSync(lockfile, 'utf8')).packages;

// --- Debian

/** @returns {boolean} whether eBPF programs can be compiled, or need not be */
function installDebianPackages(purpose) {
  const needsCompiler = !isUpToDate(ROOT, 'bpf');
  const missing = missingRequirements(...new Set([...PURPOSES[purpose], ...(needsCompiler ? ['build'] : [])]));
  if (missing.length === 0) return true;

  const names = missing.map((requirement) => requirement.package);
  if (process.getuid() === 0 && existsSync('/usr/bin/apt-get')) {
    for (const requirement of missing) say(`installing ${requirement.package}: ${requirement.for}`);
    installWithApt(names);
    return true;
  }

  const list = missing.map((requirement) => `  ${requirement.package}: ${requirement.for}`).join('\n');
  const sudo = process.getuid() === 0 ? '' : 'sudo ';
  const how = existsSync('/usr/bin/apt-get')
    ? `Install what is missing with\n\n  ${sudo}apt-get update && ${sudo}apt-get install --yes --no-install-recommends ${names.join(' ')}\n`
    : 'Install what is missing with the package manager of this system; the names are those of Debian';
  const notice = `this machine lacks\n\n${list}\n\n${how}`;
  // The tests that can run without do so, and test/run.mjs says which are left out; the demo has its simulated server.
  if (!Object.hasOwn(WITHOUT, purpose)) throw new SetupError(notice);
  say(`${notice}\nGoing on without: ${WITHOUT[purpose]}`);
  return !needsCompiler || missingRequirements('build').length === 0;
}

function installWithApt(names) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['-qq', 'update'], env);
  withoutServiceStarts(() => run('apt-get', ['-qq', 'install', '--yes', '--no-install-recommends', ...names], env));
}

/** Debian starts and enables a server when it is installed. Tests start servers of their own: leave the machine quiet. */
function withoutServiceStarts(install) {
  const policy = '/usr/sbin/policy-rc.d';
  const units = ['redis-server', 'nginx', 'memcached', 'prometheus'].filter((unit) => !existsSync(unitFile(unit)));
  const isOurs = !existsSync(policy);
  if (isOurs) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    if (isOurs) rmSync(policy);
  }
  const installed = units.filter((unit) => existsSync(unitFile(unit)));
  if (existsSync('/run/systemd/system') && installed.length > 0) run('systemctl', ['--quiet', 'disable', ...installed]);
}

const unitFile = (unit) => `/lib/systemd/system/${unit}.service`;

// --- processes

/** Runs quietly; what was said is shown when it fails. */
function run(command, args, env = process.env) {
  const { error, status, signal, stdout, stderr } = spawnSync(command, args, { cwd: ROOT, env, encoding: 'utf8' });
  if (error?.code === 'ENOENT') throw new SetupError(`${command} is not installed`);
  if (error !== undefined) throw error;
  if (status === 0) return;
  const failure = signal === null ? `exit ${status}` : signal;
  throw new SetupError(
    `${withoutHosts(`${stdout}${stderr}`).trim()}\n${command} ${args.join(' ')} failed (${failure})`,
  );
}

/** Logs of public builds should not tell which mirrors and proxies a private network has. */
function withoutHosts(text) {
  return text
    .replace(/(https?:\/\/)[^\s/'"]+/g, '$1…')
    .replace(/\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT) \S+/g, '$1 …');
}

// --- command line

const [flag, purpose, ...rest] = process.argv.slice(2);
if (flag !== '--for' || !Object.hasOwn(PURPOSES, purpose ?? '') || rest.length > 0) {
  console.error(`usage: node deploy/setup.mjs --for ${Object.keys(PURPOSES).join('|')}`);
  process.exit(2);
}
try {
  await setUp(purpose);
} catch (error) {
  if (!(error instanceof SetupError) && !(error instanceof BuildError)) throw error;
  say(error.message);
  process.exit(1);
}
