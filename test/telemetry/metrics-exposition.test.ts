import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exposition, type Metric } from '../../src/telemetry/metrics-exposition.ts';

const gauge = (labels: Record<string, string>, value: number, help = 'Help.'): Metric => ({
  name: 'tailgov_x',
  help,
  type: 'gauge',
  samples: [{ labels, value }],
});

/** What a reader of the format makes of a quoted label value. */
const unescape = (text: string) =>
  text.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));

describe('exposition()', () => {
  it('writes help, type and samples of each family', () => {
    const text = exposition([
      { name: 'a_total', help: 'How often.', type: 'counter', samples: [{ value: 3 }] },
      {
        name: 'b_seconds',
        help: 'How long.',
        type: 'histogram',
        samples: [
          { suffix: '_bucket', labels: { service: 'web', le: '+Inf' }, value: 2 },
          { suffix: '_sum', labels: { service: 'web' }, value: 0.5 },
        ],
      },
    ]);
    expect(text).toBe(
      '# HELP a_total How often.\n# TYPE a_total counter\na_total 3\n' +
        '# HELP b_seconds How long.\n# TYPE b_seconds histogram\n' +
        'b_seconds_bucket{service="web",le="+Inf"} 2\nb_seconds_sum{service="web"} 0.5\n',
    );
  });

  it('leaves out a family that has no value, rather than telling 0', () => {
    expect(exposition([{ name: 'unknown', help: '', type: 'gauge', samples: [] }])).toBe('');
  });

  it('escapes what would end a help text', () => {
    expect(exposition([gauge({}, 1, 'a \\ b\nc')])).toContain('# HELP tailgov_x a \\\\ b\\nc\n');
  });

  it('escapes label values so that any text comes back out of one line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const [, , line = '', ...rest] = exposition([gauge({ label: value }, 1)]).split('\n');
        expect(rest).toEqual(['']);
        const quoted = /^tailgov_x\{label="((?:[^"\\\n]|\\.)*)"\} 1$/su.exec(line)?.[1];
        expect(quoted === undefined ? undefined : unescape(quoted)).toBe(value);
      }),
    );
  });
});
