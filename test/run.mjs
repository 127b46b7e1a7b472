#!/usr/bin/env node
/**
 * Runs every test that this machine can run, and says which it cannot: `npm test [-- VITEST ARGUMENTS]`.
 *
 *   node test/run.mjs [--project unit|kernel|vm]... [VITEST ARGUMENTS]
 *
 * The last line is always `N passed, N failed`, with `, N skipped` where tests were skipped. A suite that is left out for
 * want of root, of BPF or of a server is no failure, unless TAILGOV_REQUIRE_KERNEL=1 or TAILGOV_REQUIRE_VM=1 says that this
 * machine must run it: then everything that is left out or skipped counts as failed.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { missingRequirements } from '../deploy/requirements.mjs';
import { countResults, formatCounts, judge, secondTries } from './test-counts.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');

const requireKernel = process.env.TAILGOV_REQUIRE_KERNEL === '1';
const requireVm = process.env.TAILGOV_REQUIRE_VM === '1';

/** Each probe returns why this machine cannot run the project, or null. */
const PROJECTS = {
  unit: { probe: () => null, required: true },
  kernel: { probe: whyNoKernel, required: requireKernel },
  vm: { probe: whyNoVm, required: requireVm },
};

async function whyNoKernel() {
  if (process.getuid() !== 0) return 'needs root';
  if (!existsSync('/sys/kernel/btf/vmlinux')) return 'this kernel has no BTF (/sys/kernel/btf/vmlinux)';
  const missing = missingRequirements('run', 'build', 'test');
  if (missing.length > 0) return `not installed: ${missing.map((requirement) => requirement.package).join(', ')}`;
  return whyNoBpf();
}

/** Asks libbpf to load its smallest program: a container may forbid bpf() to root, too. */
async function whyNoBpf() {
  const { default: koffi } = await import('koffi');
  const probe = koffi.load('libbpf.so.1').func('int libbpf_probe_bpf_prog_type(int type, const void *options)');
  const BPF_PROG_TYPE_TRACEPOINT = 5;
  const answer = probe(BPF_PROG_TYPE_TRACEPOINT, null);
  return answer === 1 ? null : `bpf() is not allowed here (libbpf_probe_bpf_prog_type answered ${answer})`;
}

async function whyNoVm() {
  const module = join(ROOT, 'test', 'vm', 'available.mjs');
  if (!existsSync(module)) return 'there is no test/vm';
  const { vmAvailable } = await import(pathToFileURL(module).href);
  const { ok, reason } = await vmAvailable();
  return ok ? null : (reason ?? 'not available');
}

/** @returns the counts of one project's run; vitest's own output goes to the terminal */
async function runProject(name, args, scratch) {
  const report = join(scratch, `${name}.json`);
  const exitCode = await new Promise((resolve, reject) => {
    const flags = ['run', `--project=${name}*`, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const options = { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] };
    const child = spawn(process.execPath, [VITEST, ...flags, ...args], options);
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
  if (!existsSync(report)) return countResults(null, exitCode);
  const results = JSON.parse(readFileSync(report, 'utf8'));
  // Vitest does not print why the first try failed.
  for (const { name, failures } of secondTries(results)) {
    console.log(`passed only on a second try: ${name}\n${failures.join('\n')}\n`);
  }
  return countResults(results, exitCode);
}

async function main(argv) {
  const { names, args } = parseArguments(argv);
  const scratch = mkdtempSync(join(tmpdir(), 'tailgov-test-'));
  const results = [];
  try {
    for (const name of names) {
      const reason = await PROJECTS[name].probe();
      const counts = reason === null ? await runProject(name, args, scratch) : null;
      results.push({ name, required: PROJECTS[name].required, counts, reason });
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
  const { lines, total, ok } = judge(results, { strict: requireKernel || requireVm });
  console.log(`\n${lines.join('\n').replaceAll(`${ROOT}/`, '')}\n${formatCounts(total)}`);
  process.exitCode = ok ? 0 : 1;
}

function parseArguments(argv) {
  const names = [];
  const args = [];
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] !== '--project') args.push(argv[i]);
    else if (Object.hasOwn(PROJECTS, argv[++i] ?? '')) names.push(argv[i]);
    else usage(`no project ${argv[i]}`);
  }
  // A file that is named lies in one of the projects; the others have nothing to run then.
  const isFiltered = args.some((arg) => !arg.startsWith('-'));
  return {
    names: names.length > 0 ? names : Object.keys(PROJECTS),
    args: isFiltered ? [...args, '--passWithNoTests'] : args,
  };
}

function usage(problem) {
  console.error(
    `${problem}\nusage: node test/run.mjs [--project ${Object.keys(PROJECTS).join('|')}]... [VITEST ARGUMENTS]`,
  );
  process.exit(2);
}

await main(process.argv.slice(2));
