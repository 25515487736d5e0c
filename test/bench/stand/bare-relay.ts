import { connect, createServer, type Socket } from 'node:net';

/** What Node itself costs: bytes are passed on and nothing is looked at. `node bare-relay.ts <host> <port>` says its own port. */
const [host, port] = process.argv.slice(2);

function pass(from: Socket, to: Socket): void {
  from.on('data', (chunk) => {
    if (to.write(chunk)) return;
    from.pause();
    to.once('drain', () => from.resume());
  });
  from.on('end', () => to.end());
  from.on('error', () => to.destroy());
}

const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const upstream = connect({ host, port: Number(port), noDelay: true, allowHalfOpen: true });
  pass(client, upstream);
  pass(upstream, client);
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 1_024 }, () => console.log(JSON.stringify(server.address())));
