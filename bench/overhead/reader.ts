/**
 * Who measures, in a process of its own, so that its CPU time can be told; says `ready` once it measures, and is ended by a
 * signal: `reader.ts sensor METHOD PORT OBJECT_DIRECTORY` reads a snapshot ten times a second; `reader.ts events OBJECT PID`
 * takes an event for each request of that process from a ring buffer and keeps the last 10,000 latencies.
 */
import { openSensor } from '../../src/sensor/open-sensor.ts';
import type { MethodChoice } from '../../src/sensor/probe-methods.ts';
import { Epoll } from '../../src/native/epoll.ts';
import { BpfObject, RingBuffer } from '../../src/native/libbpf.ts';

const READ_EVERY_MS = 100;
const KEPT = 10_000;

// Who started this repeats the last that was said: a message, not a stack.
process.on('uncaughtException', (error) => {
  console.error(error.message);
  process.exit(1);
});

const [kind, ...args] = process.argv.slice(2) as [string, string, string, string];
if (kind === 'sensor') {
  const [method, port, objectDirectory] = args as [MethodChoice, string, string];
  const sensor = openSensor({ targets: [{ name: 'subject', ports: [Number(port)] }], method, objectDirectory });
  setInterval(() => sensor.read(), READ_EVERY_MS);
  console.log('ready');
} else {
  const [file, pid] = args;
  const object = BpfObject.open(file);
  object.setRodata('server_tgid', new Uint8Array(new Uint32Array([Number(pid)]).buffer));
  object.load();
  const latenciesNs = new BigUint64Array(KEPT);
  let taken = 0;
  const ring = new RingBuffer(object.map('events'), (bytes) => {
    latenciesNs[taken++ % KEPT] = new BigUint64Array(bytes.buffer, bytes.byteOffset, 2)[1]!;
  });
  object.attach('call_returned');
  const epoll = new Epoll();
  epoll.add(ring.epollFd, 0);
  console.log('ready');
  for (;;) {
    epoll.wait(-1);
    ring.consume();
  }
}
