import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PolicyError } from '../../../src/core/errors.ts';
import { xeonSilver4114 } from '../../../src/plant/servers.ts';
import { loadSweepFile } from '../../../src/study/sweep/sweep-file.ts';
import { scratchFiles } from '../../policy/scratch-files.ts';

const files = scratchFiles();
const POLICIES = join(import.meta.dirname, '../../../policies');
const ready = { pid: join(POLICIES, 'pid.yaml'), threshold: join(POLICIES, 'threshold.yaml') };
const load = (text: string) => loadSweepFile(files.write('sweep.yaml', text), ready);

/** What is wrong in a file, with the file's own path cut off. */
function problemsIn(text: string): readonly string[] {
  const file = files.write('bad-sweep.yaml', text);
  try {
    loadSweepFile(file, ready);
  } catch (error) {
    if (error instanceof PolicyError) return error.message.split('\n').map((line) => line.replace(`${file}:`, ''));
    throw error;
  }
  throw new Error('expected it to be refused');
}

describe('loadSweepFile()', () => {
  it('takes everything that a sweep has, with paths that begin at the file', () => {
    const own = files.write('mine.yaml', 'controller: fixed\n');
    const trace = files.write('load.csv', '0,0.5\n10,1\n');
    const sweep = load(`policies: [pid, mine.yaml]
baselines: [all]
workloads: [web-search, microservice]
traces: [step, load.csv]
slos: [p99:5ms, p95:2ms]
seeds: [7, 9]
cores: 4
duration: 1min
planner: pack
reference: true
`);
    expect(sweep.policies).toEqual([ready.pid, own]);
    expect(sweep.baselines).toContain('rubik');
    expect(sweep.reference).toBe(true);
    expect(sweep.dimensions).toEqual({
      workloads: ['web-search', 'microservice'],
      traces: ['step', trace],
      recordings: [],
      servers: [xeonSilver4114],
      objectives: [
        { quantile: 0.99, latencyNs: 5e6 },
        { quantile: 0.95, latencyNs: 2e6 },
      ],
      seeds: [7, 9],
      cores: 4,
      durationNs: 60e9,
      strategy: 'pack',
    });
  });

  it('needs no more than a workload', () => {
    const { policies, dimensions } = load('workloads: [web-search]\n');
    expect(policies).toEqual([]);
    expect(dimensions).toMatchObject({ traces: ['step'], seeds: [1], strategy: 'frequency' });
  });

  it('says where a key or a value is wrong, and what is near', () => {
    expect(problemsIn('workload: [web-search]\n')).toEqual([
      expect.stringMatching(/^1:1: unknown key "workload", did you mean "workloads"\? expected policies, /),
    ]);
    expect(problemsIn('workloads: [web-serch]\nseeds: 0\nslos: [p99]\nduration: 0s\n')).toEqual([
      expect.stringMatching(/^1:13: "web-serch" given, did you mean "web-search"\?/),
      expect.stringMatching(/^3:8: "p99" given, expected a quantile and a latency/),
      expect.stringMatching(/^2:8: 0 given, expected at least 1/),
      expect.stringMatching(/^4:11: "0s" given, expected a duration from 1s/),
    ]);
    expect(problemsIn('traces: [step]\n')).toEqual([expect.stringMatching(/^1:1: nothing is asked/)]);
  });

  it('says what is wrong with what it names: all of it at once', () => {
    files.write('worse.yaml', 'controller: pd\n');
    files.write('server.yaml', 'nme: x\n');
    const problems = problemsIn(
      'workloads: [web-search]\npolicies: [treshold, worse.yaml]\ntraces: [stp]\nrecordings: [none.rec]\npower: [server.yaml]\n',
    );
    expect(problems).toEqual([
      expect.stringMatching(/^2:12: "treshold" given: no such policy, did you mean "threshold"\?/),
      expect.stringMatching(/^3:10: "stp" given: no such trace, did you mean "step"\?/),
      expect.stringMatching(/^4:14: "none.rec" given: no such file/),
      expect.stringMatching(/worse\.yaml:1:13: "pd" given, did you mean "pid"\?/),
      ...Array.from({ length: problems.length - 4 }, (): unknown => expect.stringMatching(/server\.yaml:1:1: /)),
    ]);
    expect(problems.join('\n')).toContain('unknown key "nme", did you mean "name"?');
  });
});
