import assert from 'node:assert/strict';
import dns from 'node:dns';
import { describe, it } from 'node:test';
import { ServerSocket } from '../../src/net/server-socket.ts';
import { sharedLookup } from '../../src/net/shared-lookup.ts';
import { eventually } from '../support/eventually.ts';
import { listening } from './sockets.ts';

type Answered = (error: Error | null, address: string | dns.LookupAddress[], family?: number) => void;

describe('a name server that does not answer', () => {
  it('is asked for one name once, however often that is connected to, and again when it has answered', async (t) => {
    const asked: [name: string, answer: Answered][] = [];
    const lookup = (name: string, _options: object, answer: Answered): void => void asked.push([name, answer]);
    const { port } = await listening(t);
    t.mock.method(dns, 'lookup', lookup as unknown as typeof dns.lookup);
    const connect = async (host: string): Promise<ServerSocket | undefined> =>
      ServerSocket.connect({ host, port }, { timeoutMs: 10_000 });
    const attempts = Array.from({ length: 20 }, async () => connect('db.example'));
    const elsewhere = connect('other.example');
    await eventually(() => asked.length >= 2);
    assert.deepEqual(
      asked.map(([name]) => name),
      ['db.example', 'other.example'],
    );
    const [first, other] = asked;
    other?.[1](null, [{ address: '127.0.0.1', family: 4 }]);
    (await elsewhere)?.destroy();
    first?.[1](null, [{ address: '127.0.0.1', family: 4 }]);
    for (const socket of await Promise.all(attempts)) socket?.destroy();
    const again = connect('db.example');
    await eventually(() => asked.length === 3);
    asked[2]?.[1](Object.assign(new Error('getaddrinfo EAI_AGAIN db.example'), { code: 'EAI_AGAIN' }), []);
    await assert.rejects(again, { code: 'EAI_AGAIN' });
  });

  it('is asked apart for what is asked for otherwise', (t) => {
    const lookup = t.mock.method(dns, 'lookup', (() => undefined) as unknown as typeof dns.lookup);
    for (const family of [4, 6, 4]) sharedLookup('twice.example', { family, all: true }, () => undefined);
    assert.equal(lookup.mock.callCount(), 2);
  });

  it('is asked for one name at a time of those that it took long for, and at once for others', async (t) => {
    const asked = new Map<string, Answered>();
    const lookup = (name: string, _options: object, answer: Answered): void => void asked.set(name, answer);
    t.mock.method(dns, 'lookup', lookup as unknown as typeof dns.lookup);
    let later = 0;
    const real = performance.now.bind(performance);
    t.mock.method(performance, 'now', () => real() + later);
    const ask = (...names: readonly string[]): void => {
      for (const name of names) sharedLookup(name, { all: true }, () => undefined);
    };
    const names = ['slow.example', 'late.example'];
    ask(...names);
    later += 20_000;
    for (const name of names) asked.get(name)?.(new Error('queryA ETIMEOUT'), []);
    asked.clear();
    ask(...names, 'other.example');
    assert.deepEqual([...asked.keys()], ['slow.example', 'other.example']);
    for (const answer of asked.values()) answer(null, []);
    await eventually(() => asked.has('late.example'));
    asked.get('late.example')?.(null, []);
  });
});
