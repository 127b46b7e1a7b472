import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { commandTrees, type CommandTree } from '../../deploy/command-tree.mjs';
import { bashCompletion } from '../../deploy/completions/bash-completion.mjs';
import { zshCompletion } from '../../deploy/completions/zsh-completion.mjs';
import { manPage } from '../../deploy/man/man-page.mjs';
import { thirdPartyLicenses } from '../../deploy/third-party-licenses.mjs';

const ROOT = join(import.meta.dirname, '../..');

let commands: CommandTree[];
beforeAll(async () => {
  commands = await commandTrees(ROOT);
}, 30_000);

describe('commandTrees()', () => {
  it('has every command that the program lists', () => {
    const main = ['--import', 'tsx', join(ROOT, 'src/cli/main.ts'), '--help'];
    const { stdout, stderr } = spawnSync(process.execPath, main, { cwd: ROOT, encoding: 'utf8' });
    const listed = [...stdout.split('Commands:')[1]!.matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name!);
    expect(stderr).toBe('');
    expect(listed).toContain('run');
    expect([...commands.map(({ name }) => name), 'help']).toEqual(listed);
  }, 30_000);

  it('knows what a command takes', () => {
    const run = commands.find(({ name }) => name === 'run')!;
    const option = (name: string) => run.options.find(({ names }) => names.includes(name));
    expect(option('--sysfs')).toMatchObject({ value: 'dir', default: '/sys' });
    expect(option('--runtime')).toMatchObject({ variable: 'RUNTIME_DIRECTORY' });
    expect(option('--dry-run')).toMatchObject({ value: null, default: null });
    expect(run.help).toMatch(/^Example:/);
    const check = commands.find(({ name }) => name === 'policy')!.commands.find(({ name }) => name === 'check')!;
    expect(check.arguments).toEqual([expect.objectContaining({ name: 'file', required: true, variadic: true })]);
  });

  it('leaves out what is hidden', () => {
    expect(JSON.stringify(commands)).not.toContain('"part"');
  });
});

describe('bashCompletion()', () => {
  /** What bash would offer for a line whose last word is being written; `<files>` where it turns to file names. */
  function complete(line: string): string[] {
    const typed = line.split(' ');
    const script = `
      compopt() { COMPREPLY=("<$2>"); }
      ${bashCompletion(commands)}
      COMP_WORDS=(${typed.map((word) => `'${word}'`).join(' ')})
      COMP_CWORD=${typed.length - 1}
      _tailgov
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
    expect(stderr).toBe('');
    return stdout.split('\n').filter((word) => word !== '');
  }

  it.each([
    ['tailgov sta', ['status']],
    ['tailgov pol', ['policy']],
    ['tailgov policy c', ['check']],
    ['tailgov --v', ['--version']],
    ['tailgov run --dry', ['--dry-run']],
    ['tailgov run --dry-run --conf', ['--config']],
    ['tailgov run --config ', ['<default>']],
    ['tailgov run --sysfs ', ['<dirnames>']],
    ['tailgov run --duration ', []],
    ['tailgov policy check ', ['<default>']],
    ['tailgov policy check a.yaml --j', ['--json']],
    ['tailgov policy schema con', ['config']],
    ['tailgov observe --method a', ['auto']],
    ['tailgov nonsense x', []],
  ])('completes %s', (line, expected) => {
    expect(complete(line)).toEqual(expected);
  });

  it('offers every command, and those of a group', () => {
    expect(complete('tailgov ')).toEqual(expect.arrayContaining([...commands.map(({ name }) => name), 'help']));
    expect(complete('tailgov policy ')).toEqual(expect.arrayContaining(['check', 'schema', 'list', '--help']));
  });
});

describe('zshCompletion()', () => {
  it('has a function for each command, which is called by that name', () => {
    const script = zshCompletion(commands);
    const defined = [...script.matchAll(/^(_tailgov\w*)\(\) \{$/gm)].map(([, name]) => name);
    const called = [...script.matchAll(/ \w+\) (_tailgov\w+) ;;/g)].map(([, name]) => name);
    expect(script.startsWith('#compdef tailgov\n')).toBe(true);
    expect(defined.sort()).toEqual([...called, '_tailgov'].sort());
    expect(defined).toContain('_tailgov_policy_check');
  });

  it('escapes what means something to zsh', () => {
    const option = {
      flags: '-x, --ex <a:b>',
      names: ['-x', '--ex'],
      value: 'file',
      choices: [],
      default: null,
      variable: null,
    };
    const odd = { ...option, description: "[it's]: odd" };
    const script = zshCompletion([
      { name: 'a', description: 'b', help: '', arguments: [], options: [odd], commands: [] },
    ]);
    expect(script).toContain(String.raw`'(-x --ex)'{-x,--ex}'[\[it'\''s\]\: odd]:file:_files'`);
  });
});

describe('manPage()', () => {
  const page = () => manPage(commands, { version: '1.2.3', description: 'A governor', date: '2026-01-02' });

  it('documents every command and option', () => {
    const text = page().replaceAll('\\-', '-');
    expect(text).toMatch(/^\.TH TAILGOV 1 "2026-01-02" "tailgov 1\.2\.3"/);
    for (const { name, options } of commands) {
      expect(text).toContain(`.SS tailgov ${name}`);
      for (const { flags, names } of options) if (!names.includes('--help')) expect(text).toContain(`.B ${flags}\n`);
    }
  });

  it('asks nothing of roff that it does not know', () => {
    const requests = new Set([...page().matchAll(/^[.']([A-Za-z]*)/gm)].map(([, name]) => name));
    expect([...requests].filter((name) => !/^(TH|SH|SS|TP|PP|B|I|BR|IR|RI|nf|fi)$/.test(name!))).toEqual([]);
  });

  it('keeps a line of text that looks like a request a line of text', () => {
    const command = { name: 'x', description: 'd', arguments: [], options: [], commands: [], help: ".TH evil\n'\\\\" };
    expect(manPage([command], { version: '1', description: 'd', date: '' })).toContain("\\&.TH evil\n\\&'\\e\\e\n");
  });
});

describe('thirdPartyLicenses()', () => {
  it('has the licence of each package that the bundle is made of', () => {
    const text = thirdPartyLicenses(ROOT);
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: object };
    for (const [name, version] of Object.entries(dependencies)) expect(text).toContain(`\n${name} ${version}: `);
    expect(text).toMatch(/\nuplot [\d.]+: MIT\n/);
    expect(text).not.toMatch(/\n(vitest|esbuild) /);
  });
});
