import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './support/daemon.ts';

/** It needs no kernel, but both CPUs for minutes: the unit tests have no place for that, and here files follow each other. */
describe('M/M/1 at loads up to 0.95, and M/M/16 at 0.95', () => {
  const shares = [
    [1, 3, 5],
    [2, 4],
  ];

  it(
    'agree with theory in mean, p99, utilization and by Little’s law, for five seeds',
    { timeout: 3_600_000 },
    async () => {
      const runs = await Promise.all(
        shares.map(async (seeds) => {
          const args = ['--import', 'tsx', join(ROOT, 'bench/plant.ts'), 'theory', ...seeds.map(String)];
          const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
          let said = '';
          for (const stream of [child.stdout, child.stderr])
            stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
          const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
          return { status, said };
        }),
      );
      for (const { status, said } of runs) {
        expect(status, said).toBe(0);
        expect(said).toContain('all within three standard errors, of 1 % at most');
      }
      expect(runs.map(({ said }) => said.match(/^M\/M\//gm)?.length)).toEqual([12, 8]);
    },
  );
});
