/**
 * What measuring costs a saturated server. Redis and nginx are driven as fast as they can by one client, with nothing
 * attached and with each way to measure in turn, the order turning from round to round; each run is compared with the one of
 * the same round in which nothing was attached.
 *
 *   npx tsx bench/overhead/overhead.ts [--rounds 10] [--seconds 2] [--out FILE.json]
 *
 * As root, on a machine that is quiet. `npm run bench:overhead` runs it whole.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildBpf } from '../../test/kernel/support/build-bpf.ts';
import { OpenLoopClient } from '../accuracy/open-loop.ts';
import { pinTo, type RunningSubject, SUBJECTS } from '../accuracy/subjects.ts';
import { quantileOf } from '../accuracy/open-loop.ts';
import { summaryOf } from './spread.ts';
import { usableWays, type Way } from './ways.ts';

const SERVER_CPU = 0;
const CLIENT_CPU = 1;
const NAMES = ['redis', 'nginx-small'];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '2' },
    out: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

export interface OverheadRun {
  readonly rps: number;
  readonly p99Us: number;
  /** CPU time of the process that reads, as a share of one CPU; 0 where nothing reads. */
  readonly readerRatio: number;
}

const bpf = buildBpf();
const client = new OpenLoopClient();
const found: { subject: string; way: string; runs: readonly OverheadRun[] }[] = [];
try {
  for (const subject of SUBJECTS.filter(({ name }) => NAMES.includes(name))) {
    const running = await subject.start(client);
    try {
      pinTo(SERVER_CPU, running.pids);
      const ways = await usableWays(running.port, bpf.directory);
      await running.load({ rate: 0, seconds, seed: 1 }, CLIENT_CPU);
      const runs = new Map(ways.map(({ name }): [string, OverheadRun[]] => [name, []]));
      for (let round = 0; round < rounds; round++) {
        const turned = [...ways.slice(round % ways.length), ...ways.slice(0, round % ways.length)];
        for (const way of turned) runs.get(way.name)!.push(await measure(way, running));
      }
      report(subject.name, runs);
      for (const [way, of] of runs) found.push({ subject: subject.name, way, runs: of });
    } finally {
      await running.stop();
    }
  }
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(found, null, 1)}\n`);
} finally {
  client.remove();
  bpf.remove();
}

async function measure(way: Way, running: RunningSubject): Promise<OverheadRun> {
  const attached = await way.attach();
  try {
    const before = attached.cpuMs();
    const view = await running.load({ rate: 0, seconds, seed: 1 }, CLIENT_CPU);
    const readerRatio = (attached.cpuMs() - before) / (seconds * 1000);
    return { rps: view.requests / view.seconds, p99Us: quantileOf(view.fromWriteNs, 0.99) / 1000, readerRatio };
  } finally {
    await attached.detach();
  }
}

function report(subject: string, runs: ReadonlyMap<string, readonly OverheadRun[]>): void {
  const nothing = runs.get('nothing')!;
  console.log(
    `\n${subject}: ${summaryOf(
      nothing.map(({ rps }) => rps),
      0,
    )} requests/s with nothing attached`,
  );
  for (const [way, of] of runs) {
    if (way === 'nothing') continue;
    const ratios = of.map(({ rps }, round) => rps / nothing[round]!.rps);
    const tails = of.map(({ p99Us }, round) => p99Us / nothing[round]!.p99Us);
    const readers = of.map(({ readerRatio }) => 100 * readerRatio);
    console.log(
      `  ${way.padEnd(22)} throughput ÷ nothing ${summaryOf(ratios, 3)}; p99 ÷ nothing ${summaryOf(tails, 3)}; reader ${summaryOf(readers, 1)} % of a CPU`,
    );
  }
}
