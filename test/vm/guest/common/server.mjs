/** A server with its client: as many requests a second as /vm/load says. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const [name, port] = process.argv.slice(2);
writeFileSync(`/vm/pid-${name}`, `${process.pid}\n`);
createServer((socket) => socket.on('data', (data) => socket.write(data))).listen(Number(port), '127.0.0.1', () => {
  const client = connect(Number(port), '127.0.0.1');
  client.once('data', () => writeFileSync(`/vm/serving-${name}`, ''));
  client.resume();
  client.write('ping');
  const send = () => {
    const perSecond = Number(readFileSync('/vm/load', 'utf8'));
    if (perSecond > 0) client.write('ping');
    setTimeout(send, 1000 / Math.max(4, perSecond));
  };
  send();
});
