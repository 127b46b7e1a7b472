import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import type { OverheadPart, OverheadRuns } from './overhead-runs.ts';
import { summaryOf } from './spread.ts';

const PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
const [BEGIN, END] = ['<!-- overhead -->', '<!-- /overhead -->'];

/** Puts the tables between their marks in docs/performance.md. */
export async function writeTables({ here, guest }: OverheadRuns): Promise<void> {
  const page = readFileSync(PAGE, 'utf8');
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${PAGE}: expected ${BEGIN} and ${END}`);
  const parts = [
    ...(here === undefined ? [] : [`${titleOf(here)}:\n\n${tableOf(here)}`]),
    ...(guest === undefined
      ? []
      : [
          `**Emulated**: in a guest with Linux 6.1 on a CPU that QEMU emulates, where \`fentry\` is to be had. ${titleOf(guest)}. What programs take ` +
            `there says nothing of a real CPU; it shows that nothing stands still:\n\n${tableOf(guest)}`,
        ]),
  ];
  const text = `${page.slice(0, from)}${BEGIN}\n\n${parts.join('\n\n')}\n\n${page.slice(to)}`;
  writeFileSync(PAGE, await format(text, { parser: 'markdown', printWidth: 120 }));
}

const titleOf = ({ at, rounds, seconds }: OverheadPart) =>
  `Measured ${at.slice(0, 10)}, ${rounds} rounds of ${seconds} s each way; medians and quartiles`;

/** For the terminal. */
export const linesOf = (part: OverheadPart): readonly string[] => rowsOf(part).map((row) => row.join('  '));

const HEADS = [
  'server',
  'attached',
  'throughput ÷ nothing',
  'p99 ÷ nothing',
  'CPU of who reads',
  'ns a request, net',
  'gross',
];

const tableOf = (part: OverheadPart): string =>
  [HEADS, HEADS.map(() => '---'), ...rowsOf(part)].map((row) => `| ${row.join(' | ')} |`).join('\n');

function rowsOf({ subjects }: OverheadPart): readonly (readonly string[])[] {
  return subjects.flatMap(({ subject, ways }) => {
    const nothing = ways.find(({ way }) => way === 'nothing')!.runs;
    return ways.map(({ way, runs, nsARequest }) => {
      if (way === 'nothing') {
        const rates = nothing.map(({ rps }) => rps);
        const tails = nothing.map(({ p99Us }) => p99Us);
        return [subject, way, `${summaryOf(rates, 0)} requests/s`, `${summaryOf(tails, 0)} µs`, '', '', ''];
      }
      const ratios = runs.map(({ rps }, round) => rps / nothing[round]!.rps);
      const tails = runs.map(({ p99Us }, round) => p99Us / nothing[round]!.p99Us);
      const readers = runs.map(({ readerRatio }) => 100 * readerRatio);
      const cost = nsARequest === undefined ? ['', ''] : [nsARequest.net.toFixed(0), nsARequest.gross.toFixed(0)];
      return [subject, way, summaryOf(ratios, 3), summaryOf(tails, 3), `${summaryOf(readers, 1)} %`, ...cost];
    });
  });
}
