import { describe, expect, it } from 'vitest';
import { listenAddress } from '../../src/policy/listen-address.ts';

const parse = (text: unknown) => {
  const result = listenAddress().safeParse(text);
  return result.success ? result.data : result.error.issues.map(({ message }) => message);
};

describe('listenAddress()', () => {
  it.each([
    ['127.0.0.1:9750', { host: '127.0.0.1', port: 9750 }],
    ['0.0.0.0:1', { host: '0.0.0.0', port: 1 }],
    ['[::1]:65535', { host: '::1', port: 65_535 }],
    ['metrics.example.org:0', { host: 'metrics.example.org', port: 0 }],
    ['off', null],
  ])('reads %s', (text, address) => {
    expect(parse(text)).toEqual(address);
  });

  it.each([
    '',
    ':9750',
    '9750',
    '127.0.0.1',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '::1:9750',
    'a b:1',
    '127.0.0.1:9750/',
    9750,
  ])('refuses %j and says what it expects', (text) => {
    expect(parse(text)).toEqual([
      `${JSON.stringify(text)} given, expected an address and a port such as 127.0.0.1:9750 or [::1]:9750, or off`,
    ]);
  });
});
