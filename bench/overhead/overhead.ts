/**
 * What measuring costs a saturated server. Redis and nginx are driven as fast as they can by one client, with nothing
 * attached and with each way to measure in turn, the order turning from round to round; each run is compared with the one of
 * the same round in which nothing was attached. Then the kernel's own accounting tells what the programs of each way take a
 * request. In the guest, whose kernel has fentry and whose CPUs are emulated, the same with fewer rounds.
 *
 *   npx tsx bench/overhead/overhead.ts [--rounds 10] [--seconds 2] [--no-guest] [--guest-only] [--out dist/overhead-runs.json]
 *
 * As root, on a machine that is quiet. `npm run bench:overhead` runs it whole, some ten minutes, and writes its tables into
 * docs/performance.md.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chooseMethodHere } from '../../src/sensor/probe-kernel.ts';
import { buildBpf } from '../../test/kernel/support/build-bpf.ts';
import { OpenLoopClient } from '../accuracy/open-loop.ts';
import { pinTo, type RunningSubject, SUBJECTS } from '../accuracy/subjects.ts';
import { ProbeAccounting } from '../probe-accounting.ts';
import { runInGuest } from './guest.ts';
import type { OverheadRun, OverheadRuns, WayRuns } from './overhead-runs.ts';
import { linesOf, writeTables } from './report.ts';
import { alternately, saturate, SUBJECT_NAMES } from './rounds.ts';
import { mountTracefs } from './tracefs.ts';
import { usableWays, type Way } from './ways.ts';

const SERVER_CPU = 0;
const CLIENT_CPU = 1;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '2' },
    out: { type: 'string', default: fileURLToPath(new URL('../../dist/overhead-runs.json', import.meta.url)) },
    'no-guest': { type: 'boolean', default: false },
    'guest-only': { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const before = existsSync(values.out) ? (JSON.parse(readFileSync(values.out, 'utf8')) as OverheadRuns) : {};
let found: OverheadRuns = before;
if (!values['guest-only']) keep({ here: await measureHere() });
if (!values['no-guest']) {
  try {
    keep({ guest: { at: new Date().toISOString(), ...(await runInGuest()) } });
  } catch (error) {
    console.error('the guest FAILED; again: npm run bench:overhead -- --guest-only', error);
    process.exitCode = 1;
  }
}
await writeTables(found);

function keep(more: OverheadRuns): void {
  found = { ...found, ...more };
  writeFileSync(values.out, `${JSON.stringify(found)}\n`);
  for (const part of [more.here, more.guest])
    if (part !== undefined) for (const line of linesOf(part)) console.log(line);
}

async function measureHere(): Promise<NonNullable<OverheadRuns['here']>> {
  // And with this process what it starts: nothing else of the machine may delay either.
  setPriority(constants.priority.PRIORITY_HIGHEST);
  const bpf = buildBpf();
  const client = new OpenLoopClient();
  const unmount = mountTracefs();
  const accounting = new ProbeAccounting(chooseMethodHere('auto').method.name);
  try {
    const subjects = [];
    for (const subject of SUBJECTS.filter(({ name }) => SUBJECT_NAMES.includes(name))) {
      const running = await subject.start(client);
      try {
        pinTo(SERVER_CPU, running.pids);
        const server = { port: running.target.ports![0]!, pid: running.pids[0]! };
        const ways = await usableWays(server, bpf.directory);
        subjects.push({ subject: subject.name, ways: await measureWays(running, ways, accounting) });
      } finally {
        await running.stop();
      }
    }
    return { at: new Date().toISOString(), rounds, seconds, subjects };
  } finally {
    accounting.remove();
    unmount();
    client.remove();
    bpf.remove();
  }
}

async function measureWays(
  running: RunningSubject,
  ways: readonly Way[],
  accounting: ProbeAccounting,
): Promise<readonly WayRuns[]> {
  await running.load({ rate: 0, seconds, seed: 1 }, CLIENT_CPU);
  const runs = await alternately(
    ways,
    rounds,
    (way) => measure(way, running),
    ({ name }, round) => console.log(`round ${round + 1} of ${rounds}: ${name}`),
  );
  const found: WayRuns[] = [];
  for (const way of ways) {
    const cost = way.name === 'nothing' ? {} : { nsARequest: await account(way, running, accounting) };
    found.push({ way: way.name, runs: runs.get(way)!, ...cost });
  }
  return found;
}

async function measure(way: Way, running: RunningSubject): Promise<OverheadRun> {
  const attached = await way.attach();
  try {
    return await saturate(running, { seconds, clientCpu: CLIENT_CPU }, () => attached?.cpuMs() ?? 0);
  } finally {
    await attached?.detach();
  }
}

/** Of the programs alone, in ns a request; accounting slows everything down, so it is a run of its own. */
async function account(way: Way, running: RunningSubject, accounting: ProbeAccounting) {
  let attached: Awaited<ReturnType<Way['attach']>>;
  let requests = 0;
  try {
    const { grossNs, netNs } = await accounting.measureForeign(
      async () => (attached = await way.attach()),
      async () => {
        ({ requests } = await running.load({ rate: 0, seconds, seed: 1 }, CLIENT_CPU));
      },
    );
    return { gross: grossNs / requests, net: netNs / requests };
  } finally {
    await attached?.detach();
  }
}
