/** A server of another user, with its client: some requests a second, for ever. */
import { writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const PORT = 7411;
createServer((socket) => socket.on('data', (data) => socket.write(data))).listen(PORT, '127.0.0.1', () => {
  const client = connect(PORT, '127.0.0.1');
  client.resume();
  setInterval(() => client.write('ping'), 150);
  client.once('data', () => writeFileSync('/vm/serving', ''));
});
