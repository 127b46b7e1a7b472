import { describe, expect, it } from 'vitest';
import { chooseMethod, PROBE_METHODS, type Probe, wantedFor } from '../../src/sensor/probe-methods.ts';

type Method = (typeof PROBE_METHODS)[0];
const [tracepoint, fentry, syscall] = PROBE_METHODS as [Method, Method, Method];
const named =
  (...names: readonly string[]) =>
  ({ at }: Probe) =>
    names.includes(at);
const without =
  (...names: readonly string[]) =>
  (probe: Probe) =>
    !named(...names)(probe);

describe('chooseMethod()', () => {
  it('takes the tracepoints where there are any, and functions where there are none', () => {
    expect(chooseMethod('auto', () => true)).toBe(tracepoint);
    expect(chooseMethod('auto', without('sock_send_length'))).toBe(fentry);
  });

  it('takes system calls last of all', () => {
    expect(chooseMethod('auto', without('sock_send_length', 'inet_recvmsg'))).toBe(syscall);
    expect(chooseMethod('syscall', () => true)).toBe(syscall);
  });

  it('takes what is asked for by name, or nothing', () => {
    expect(chooseMethod('fentry', () => true)).toBe(fentry);
    expect(chooseMethod('tracepoint', without('sk_data_ready', 'sock_recv_length'))).toEqual({
      problem: "method 'tracepoint' needs tracepoint sk_data_ready, tracepoint sock_recv_length (Linux 6.3 or later)",
    });
  });

  it('does without functions that only some kernels have', () => {
    const optional = fentry.probes.filter((probe) => probe.optional).map(({ at }) => at);
    expect(optional).toContain('inet_sendpage');
    expect(chooseMethod('fentry', without(...optional))).toBe(fentry);
    expect(chooseMethod('fentry', without('inet_recvmsg'))).toHaveProperty('problem');
  });

  it('looks for what UDP and Unix-domain sockets take where they are asked for', () => {
    const noTracepoints = ['sock_send_length', 'net_dev_queue'];
    expect(chooseMethod('auto', without('sock_send_length', 'unix_stream_recvmsg'))).toBe(fentry);
    expect(chooseMethod('auto', without('sock_send_length', 'unix_stream_recvmsg'), ['udp'])).toBe(fentry);
    expect(chooseMethod('auto', without('sock_send_length', 'unix_stream_recvmsg'), ['unix'])).toBe(syscall);
    expect(chooseMethod('auto', without('sock_send_length', 'unix_stream_sendpage'), ['unix'])).toBe(fentry);
    expect(chooseMethod('fentry', without(...noTracepoints, 'unix_stream_sendmsg'), ['udp', 'unix'])).toEqual({
      problem:
        "method 'fentry' needs function unix_stream_sendmsg for Unix-domain sockets, tracepoint net_dev_queue for UDP (Linux 5.13 or later, on arm64 6.0)",
    });
  });

  it('says what each method lacks where none can be used', () => {
    expect(chooseMethod('auto', named('sk_data_ready', 'inet_sock_set_state', 'inet_sendmsg'))).toEqual({
      problem:
        "method 'tracepoint' needs tracepoint sock_recv_length, tracepoint sock_send_length (Linux 6.3 or later); " +
        "method 'fentry' needs function sock_def_readable, function inet_recvmsg (Linux 5.13 or later, on arm64 6.0); " +
        "method 'syscall' needs tracepoint sys_exit (Linux 5.12 or later, on x86-64 and arm64)",
    });
  });
});

describe('wantedFor()', () => {
  it.each(PROBE_METHODS)('leaves what plain TCP does not take: $name', ({ probes, walks }) => {
    const names = [...wantedFor([], probes), ...wantedFor([], walks)].map(({ program }) => program);
    expect(names).toContain('state_changed');
    expect(names).toContain('walk_connections');
    expect(names.filter((name) => /unix|datagram/.test(name))).toEqual([]);
  });

  it.each(PROBE_METHODS)('takes the programs of a kind for that kind alone: $name', ({ probes, walks }) => {
    const programs = [...probes, ...walks];
    const added = (kind: 'udp' | 'unix') => wantedFor([kind], programs).filter(({ of }) => of !== undefined);
    expect(added('udp').map(({ program }) => program)).toEqual([
      'datagram_arrived',
      'datagram_read',
      'datagram_sent',
      'walk_datagrams',
    ]);
    expect(added('unix').every(({ program }) => program.includes('unix'))).toBe(true);
    expect(added('unix')).not.toEqual([]);
  });
});
