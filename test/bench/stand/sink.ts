import { connect, createServer, type Socket } from 'node:net';

import { Sink } from './sink-connection.ts';

/**
 * A mirror that costs nothing: logins and pgmirror's own questions go to a real server, and what is replayed is answered
 * at once. `node sink.ts <host> <port>`; says its own port.
 */
const [host = '', port] = process.argv.slice(2);

const server = createServer({ noDelay: true }, (client: Socket) => {
  const upstream = connect({ host, port: Number(port), noDelay: true });
  const sink = new Sink(client, upstream);
  client.on('data', (chunk: Buffer) => sink.fromClient(chunk));
  upstream.on('data', (chunk: Buffer) => sink.fromServer(chunk));
  for (const [one, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
});
server.listen({ host: '127.0.0.1', port: 0 }, () => console.log(JSON.stringify(server.address())));
