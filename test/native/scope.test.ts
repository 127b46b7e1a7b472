import { describe, expect, it } from 'vitest';
import { Scope } from '../../src/native/scope.ts';

describe('Scope', () => {
  const scopeOf = (name: string, log: string[]) => new Scope(name, () => void log.push(name));

  it('closes what lives in it before itself, the youngest first', () => {
    const log: string[] = [];
    const parent = scopeOf('parent', log);
    parent.adopt(scopeOf('elder', log));
    parent.adopt(scopeOf('younger', log));
    parent.close();
    expect(log).toEqual(['younger', 'elder', 'parent']);
  });

  it('closes once', () => {
    const log: string[] = [];
    const scope = scopeOf('scope', log);
    scope.close();
    scope.close();
    expect(log).toEqual(['scope']);
  });

  it('leaves alone what it was told to forget', () => {
    const log: string[] = [];
    const parent = scopeOf('parent', log);
    const child = parent.adopt(scopeOf('child', log));
    parent.forget(child);
    parent.close();
    expect(log).toEqual(['parent']);
  });

  it('closes everything though something fails, then throws the first failure', () => {
    const log: string[] = [];
    const parent = scopeOf('parent', log);
    parent.adopt(scopeOf('elder', log));
    for (const message of ['second', 'first']) {
      parent.adopt(
        new Scope(message, () => {
          throw new Error(message);
        }),
      );
    }
    expect(() => parent.close()).toThrow('first');
    expect(log).toEqual(['elder', 'parent']);
    expect(parent.closed).toBe(true);
  });

  it('names itself when it is used after it was closed', () => {
    const scope = scopeOf("map 'counts'", []);
    scope.assertOpen();
    scope.close();
    expect(() => scope.assertOpen()).toThrow("map 'counts' is closed");
    expect(() => scope.adopt(scopeOf('late', []))).toThrow("map 'counts' is closed");
  });
});
