import { readdirSync } from 'node:fs';
import { MessageChannel, Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { Epoll } from '../../src/native/epoll.ts';
import { EventFd } from '../../src/native/eventfd.ts';
import { Timer } from '../../src/native/timerfd.ts';

const MS = 1_000_000n;
const FAR_MS = 30_000;

const opened: { close(): void }[] = [];
const open = <T extends { close(): void }>(thing: T): T => {
  opened.push(thing);
  return thing;
};
afterEach(() => {
  for (const thing of opened.splice(0)) thing.close();
});

describe('Epoll', () => {
  it('returns the tokens of what is readable, and nothing when the time is up', () => {
    const epoll = open(new Epoll<string>());
    const [first, second, third] = [open(new EventFd()), open(new EventFd()), open(new EventFd())];
    epoll.add(first.fd, 'first');
    epoll.add(second.fd, 'second');
    epoll.add(third.fd, 'third');
    expect(epoll.wait(0)).toEqual([]);
    expect(epoll.wait(1)).toEqual([]);
    first.notify();
    third.notify();
    expect(epoll.wait(-1).sort()).toEqual(['first', 'third']);
    first.drain();
    expect(epoll.wait(0)).toEqual(['third']);
  });

  it('returns at most so many tokens, the others with the next wait', () => {
    const epoll = open(new Epoll());
    const events = Array.from({ length: 5 }, () => open(new EventFd()));
    for (const [token, event] of events.entries()) {
      epoll.add(event.fd, token);
      event.notify();
    }
    const seen = new Set<number>();
    for (let round = 0; round < 5; round++) {
      const tokens = epoll.wait(0, 2);
      expect(tokens.length).toBe(2);
      for (const token of tokens) seen.add(token);
    }
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4]);
  });

  it('forgets what was removed', () => {
    const epoll = open(new Epoll());
    const event = open(new EventFd());
    epoll.add(event.fd, 7);
    event.notify();
    epoll.remove(event.fd);
    expect(epoll.wait(0)).toEqual([]);
    epoll.add(event.fd, 8);
    expect(epoll.wait(0)).toEqual([8]);
  });

  it('says what is wrong with a descriptor', () => {
    const epoll = open(new Epoll());
    const event = open(new EventFd());
    epoll.add(event.fd, 1);
    expect(() => epoll.add(event.fd, 2)).toThrow(`add descriptor ${event.fd} to the epoll: EEXIST`);
    event.notify();
    expect(epoll.wait(0)).toEqual([1]);
    expect(() => epoll.add(-1, 3)).toThrow('add descriptor -1 to the epoll: EBADF');
    expect(() => epoll.remove(0)).toThrow('remove descriptor 0 from the epoll: ENOENT');
  });
});

describe('Timer', () => {
  it('expires at the absolute time, not before, and once', () => {
    const epoll = open(new Epoll<string>());
    const timer = open(new Timer());
    epoll.add(timer.fd, 'tick');
    const deadlineNs = process.hrtime.bigint() + 5n * MS;
    timer.armAt(deadlineNs);
    expect(epoll.wait(FAR_MS)).toEqual(['tick']);
    expect(process.hrtime.bigint()).toBeGreaterThanOrEqual(deadlineNs);
    expect(timer.readExpirations()).toBe(1);
    expect(timer.readExpirations()).toBe(0);
    expect(epoll.wait(0)).toEqual([]);
  });

  it.each([0n, 1n, -5n])('expires at once when %d has passed', (time) => {
    const timer = open(new Timer());
    const epoll = open(new Epoll());
    epoll.add(timer.fd, 1);
    timer.armAt(time);
    expect(epoll.wait(FAR_MS)).toEqual([1]);
    expect(timer.readExpirations()).toBe(1);
  });

  it('replaces the time that was set before', () => {
    const timer = open(new Timer());
    const epoll = open(new Epoll());
    epoll.add(timer.fd, 1);
    timer.armAt(0n);
    timer.armAt(process.hrtime.bigint() + 3_600_000n * MS);
    expect(epoll.wait(0)).toEqual([]);
    timer.armAt(0n);
    expect(epoll.wait(FAR_MS)).toEqual([1]);
    timer.disarm();
    expect(epoll.wait(0)).toEqual([]);
    expect(timer.readExpirations()).toBe(0);
  });
});

describe('EventFd', () => {
  it('counts notifications until they are drained', () => {
    const event = open(new EventFd());
    expect(event.drain()).toBe(0);
    event.notify();
    event.notify();
    expect(event.drain()).toBe(2);
    expect(event.drain()).toBe(0);
  });

  it('works over the descriptor of another, which stays open', () => {
    const event = open(new EventFd());
    const other = new EventFd(event.fd);
    other.notify();
    other.close();
    expect(() => other.notify()).toThrow('eventfd is closed');
    expect(event.drain()).toBe(1);
  });

  it('wakes a worker thread that waits in epoll', async () => {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(new URL('./fixtures/waiting-worker.mjs', import.meta.url), {
      workerData: port2,
      transferList: [port2],
    });
    const warnings: Error[] = [];
    const collect = (warning: Error) => void warnings.push(warning);
    process.on('warning', collect);
    try {
      const next = () => new Promise<unknown>((resolve) => worker.once('message', resolve));
      const exited = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
      const wakeFd = await Promise.race([next(), exited]);
      const wake = new EventFd(wakeFd as number);
      for (const word of ['one', 'two']) {
        const answer = next();
        port1.postMessage(word);
        wake.notify();
        expect(await answer).toBe(`woken for ${word}`);
      }
      port1.postMessage('stop');
      wake.notify();
      expect(await exited).toBe(0);
      expect(warnings).toEqual([]);
    } finally {
      process.off('warning', collect);
      port1.close();
      await worker.terminate();
    }
  });
});

describe('what is closed', () => {
  it('cannot be used, can be closed again, and leaves no descriptor behind', () => {
    const count = () => readdirSync('/proc/self/fd').length;
    const before = count();
    const epoll = new Epoll();
    const timer = new Timer();
    const event = new EventFd();
    for (const thing of [epoll, timer, event, epoll, timer, event]) thing.close();
    expect(count()).toBe(before);
    expect(() => epoll.wait(0)).toThrow('epoll is closed');
    expect(() => epoll.add(0, 1)).toThrow('epoll is closed');
    expect(() => timer.armAt(0n)).toThrow('timer is closed');
    expect(() => timer.readExpirations()).toThrow('timer is closed');
    expect(() => event.notify()).toThrow('eventfd is closed');
    expect(() => event.drain()).toThrow('eventfd is closed');
  });
});
