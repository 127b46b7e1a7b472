import { Command } from 'commander';
import { diagnose } from '../compose/diagnosis/diagnose.ts';
import type { Finding } from '../compose/diagnosis/finding.ts';
import { realTree } from '../sysfs/real-tree.ts';

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('can tailgov do its job on this machine? Exit code 0 when `tailgov run` can, 1 when not')
    .option('--sysfs <dir>', 'a directory that stands in for /sys', '/sys')
    .option('--json', 'one JSON object a check')
    .addHelpText('after', '\nExample:\n  tailgov doctor')
    .action(async (options: { sysfs: string; json?: true }) => {
      const findings = await diagnose(realTree(options.sysfs));
      const lines = options.json === true ? findings.map((finding) => JSON.stringify(finding)) : doctorLines(findings);
      process.stdout.write(`${lines.join('\n')}\n`);
      if (findings.some((finding) => finding.state === 'missing')) process.exitCode = 1;
    });
}

/** A line a check, and more where there are alternatives, or something to do. */
function doctorLines(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const indent = ' '.repeat('degraded'.length + width + 4);
  return findings.flatMap(({ check, state, detail, alternatives = [], remedy }) => [
    `${state.padEnd('degraded'.length)}  ${check.padEnd(width)}  ${detail}`,
    ...alternatives.map((alternative) => `${indent}${alternative}`),
    ...(remedy === undefined ? [] : [`${indent}→ ${remedy}`]),
  ]);
}
