/** A server with its client: as many requests a second as /vm/load says. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const PORT = 7412;
createServer((socket) => socket.on('data', (data) => socket.write(data))).listen(PORT, '127.0.0.1', () => {
  const client = connect(PORT, '127.0.0.1');
  client.once('data', () => writeFileSync('/vm/serving', ''));
  client.resume();
  client.write('ping');
  const send = () => {
    const perSecond = Number(readFileSync('/vm/load', 'utf8'));
    if (perSecond > 0) client.write('ping');
    setTimeout(send, 1000 / Math.max(4, perSecond));
  };
  send();
});
