import { connect, createServer, type Socket } from 'node:net';

import { Sink, type SinkClient, type SinkMode } from './sink-connection.ts';

/**
 * A mirror that is not what it seems: `node sink.ts <host> <port> [mode]`, before a real server that serves logins and
 * pgmirror's own questions. What is replayed is answered at once (`answer`) or so many milliseconds later (`answer-3`), with
 * random bytes (`garbage`), with 1 GB (`huge`), or by the server, so many milliseconds later (a number). `silent` accepts connections and says nothing.
 * Says its own port.
 */
const [host = '', port, mode = 'answer'] = process.argv.slice(2);

const server = createServer({ noDelay: true }, (client: Socket) => {
  client.on('error', () => client.destroy());
  if (mode !== 'silent') serve(client);
});
server.listen({ host: '127.0.0.1', port: 0 }, () => console.log(JSON.stringify(server.address())));

function serve(client: Socket): void {
  const upstream = connect({ host, port: Number(port), noDelay: true });
  upstream.on('error', () => client.destroy());
  upstream.on('close', () => client.destroy());
  client.on('close', () => upstream.destroy());
  const delayMs = Number(mode);
  if (Number.isFinite(delayMs)) {
    client.on('data', (chunk: Buffer) => upstream.write(chunk));
    upstream.on('data', (chunk: Buffer) => void setTimeout(() => client.write(chunk), delayMs));
    return;
  }
  const [how, later] = mode.split('-');
  const answers = later === undefined ? client : answeringLater(client, Number(later));
  const sink = new Sink(answers, upstream, how as SinkMode);
  client.on('data', (chunk: Buffer) => sink.fromClient(chunk));
  upstream.on('data', (chunk: Buffer) => sink.fromServer(chunk));
}

function answeringLater(client: Socket, delayMs: number): SinkClient {
  return {
    write: (bytes) => {
      setTimeout(() => client.write(bytes), delayMs);
      return true;
    },
    end: () => client.end(),
    on: (event, listener) => client.on(event, listener),
    off: (event, listener) => client.off(event, listener),
  };
}
