import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { forgetProgramPages, unchangedFilePages } from '../../src/native/trim-memory.ts';

const mapping = (head: string, anonymousKb = 0) => `${head}
Size:               1024 kB
Rss:                 512 kB
Anonymous:      ${String(anonymousKb).padStart(8)} kB
VmFlags: rd ex mr mw me
`;
const TEXT = mapping('00400000-00c00000 r-xp 00000000 103:01 4321                              /usr/bin/node');

describe('unchangedFilePages()', () => {
  it('finds what is mapped from a file for reading or running', () => {
    const readOnly = mapping('7f0012345000-7f0012346000 r--p 00010000 fd:00 7   /usr/lib/a b.so');
    expect(unchangedFilePages(TEXT + readOnly)).toEqual([
      { address: 0x400000, bytes: 0x800000 },
      { address: 0x7f0012345000, bytes: 0x1000 },
    ]);
  });

  it.each([
    ['what can be written', mapping('00400000-00c00000 rw-p 00000000 103:01 4321 /usr/bin/node')],
    ['what others see', mapping('00400000-00c00000 r--s 00000000 103:01 4321 /usr/bin/node')],
    ['what was changed when it was loaded', mapping('00400000-00c00000 r--p 00000000 103:01 4321 /usr/bin/node', 4)],
    ['memory of no file', mapping('00400000-00c00000 r-xp 00000000 00:00 0 ')],
    ['the kernel’s own pages', mapping('7ffd0000-7ffd2000 r-xp 00000000 00:00 0   [vdso]')],
    ['nothing', ''],
  ])('leaves alone %s', (_, smaps) => {
    expect(unchangedFilePages(smaps)).toEqual([]);
    expect(unchangedFilePages(TEXT + smaps)).toHaveLength(1);
  });
});

describe('forgetProgramPages()', () => {
  it('gives back pages of the program, which runs on', () => {
    const fileKb = () => Number(/^RssFile:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
    const before = fileKb();
    forgetProgramPages();
    expect(fileKb()).toBeLessThan(before * 0.8);
    expect(JSON.parse(JSON.stringify([1, 'a']))).toEqual([1, 'a']);
  });
});
