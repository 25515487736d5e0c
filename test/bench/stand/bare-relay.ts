import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/**
 * What Node itself costs: bytes are passed on and nothing is looked at. `node bare-relay.ts <host> <port> [threads]` says its
 * own port.
 */
const [host, port, threads = '1'] = process.argv.slice(2);

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
const own = isMainThread ? 0 : (workerData as number);
server.listen({ host: '127.0.0.1', port: own, backlog: 1_024, reusePort: Number(threads) > 1 }, () => {
  if (isMainThread) void startOthers(server.address() as AddressInfo);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window: it has no origin
  else parentPort?.postMessage('listening');
});

/** The other threads share the port. */
async function startOthers(address: AddressInfo): Promise<void> {
  const others = Array.from({ length: Number(threads) - 1 }, (_, index) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: address.port,
      argv: process.argv.slice(2),
      name: `relay ${index + 1}`,
    });
    return new Promise((resolve) => worker.once('message', resolve));
  });
  await Promise.all(others);
  console.log(JSON.stringify(address));
}
