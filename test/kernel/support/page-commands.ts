import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './daemon.ts';

/** A line of an `sh` block of a page. */
export interface PageCommand {
  readonly page: string;
  /** Without the comment behind it. */
  readonly command: string;
  /** The JSON that the page says it answers, where it does. */
  readonly answer: string | undefined;
}

/** README.md and what lies below docs/. */
export function pages(): readonly string[] {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  return ['README.md', ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)].sort();
}

const textOf = (page: string) => readFileSync(join(ROOT, page), 'utf8');

/** In the order in which a reader comes to them. */
export function commandsIn(page: string): readonly PageCommand[] {
  const block = /^```sh\n(.*?)^```(?:\s*```json\n(.*?)```)?/gms;
  return [...textOf(page).matchAll(block)].flatMap(([, text, answer]) => {
    const lines = text!
      .replaceAll('\\\n', ' ')
      .split('\n')
      .map((line) => line.replace(/(^|\s+)#\s.*$/, '').trim())
      .filter((line) => line !== '');
    return lines.map((command, index) => ({ page, command, answer: index === lines.length - 1 ? answer : undefined }));
  });
}

/** Commands that a page shows where no test would find them: behind a prompt, or indented. */
export function hiddenCommandsIn(page: string): readonly string[] {
  const outside = textOf(page).replaceAll(/^```sh\n.*?^```/gms, '');
  return outside.match(/^ *(\$ \S.*|(?<= {4})(sudo )?(npx )?tailgov .*)$/gm) ?? [];
}
