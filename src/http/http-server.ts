import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { isOwnHost } from './host-header.ts';
import type { HttpHost } from './http-host.ts';
import { PAGE } from './page/page.ts';
import { Shared } from './shared.ts';

const MAX_CONNECTIONS = 200;
const TIMEOUT_MS = 10_000;
/** A connection on which nothing moves for so long, in either direction, is closed: one that reads nothing takes a place. */
const STILL_MS = 5_000;
/** Who asks again within this time gets the same answer. */
const FRESH_MS = 200;
const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
  readonly policy?: string;
}

const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
} as const;
const NOTHING_MAY_LOAD = "default-src 'none'; frame-ancestors 'none'";

/** Metrics, JSON, the page and health over HTTP: read-only, and only for those who call it by its own name. */
export class HttpServer {
  readonly #server: Server;
  readonly #host: HttpHost;
  readonly #name: string;
  readonly #metrics: Shared<Answer>;
  readonly #mirrors: Shared<string>;
  readonly #queries: Shared<string>;

  constructor(host: HttpHost, name: string) {
    this.#host = host;
    this.#name = name;
    this.#metrics = new Shared(FRESH_MS, async () => {
      const { metricsText, METRICS_TYPE } = await import('./metrics.ts');
      return { status: 200, type: METRICS_TYPE, body: await metricsText(host) };
    });
    this.#mirrors = new Shared(FRESH_MS, async () => {
      const mirrors = await host.mirrors();
      return JSON.stringify({ mirrors: mirrors.map(({ summary }) => summary) });
    });
    this.#queries = new Shared(FRESH_MS, async () => JSON.stringify({ queries: await host.queries() }));
    // An import of node:http loads all that it can be asked for, a client for WebSockets and HTTP/2 included.
    this.#server = process
      .getBuiltinModule('node:http')
      .createServer((request, response) => void this.#serve(request, response));
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.requestTimeout = TIMEOUT_MS;
    this.#server.headersTimeout = TIMEOUT_MS;
    this.#server.timeout = STILL_MS;
  }

  /** Rejects with the error of listen(); settles with the port. */
  listen(address: { readonly host: string; readonly port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(address, () => {
        this.#server.off('error', reject);
        // One connection that cannot be accepted is not the end of the server.
        this.#server.on('error', () => undefined);
        const bound = this.#server.address();
        resolve(typeof bound === 'object' && bound !== null ? bound.port : address.port);
      });
    });
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    let answer: Answer;
    try {
      answer = await this.#answer(request);
    } catch (error) {
      answer = plain(500, error instanceof Error ? error.message : String(error));
    }
    const { status, type, body, policy = NOTHING_MAY_LOAD } = answer;
    const length = Buffer.byteLength(body);
    const headers = { ...HEADERS, 'Content-Security-Policy': policy, 'Content-Type': type, 'Content-Length': length };
    response.writeHead(status, status === 405 ? { ...headers, Allow: 'GET, HEAD' } : headers);
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    if (!isOwnHost(request.headers.host, this.#name)) {
      return plain(403, 'The Host header names another server. `http_host` can be set to the name used here.');
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'Read-only: GET and HEAD are served.');
    switch (request.url?.split('?', 1)[0]) {
      case '/':
        return { status: 200, type: 'text/html; charset=utf-8', body: PAGE.html, policy: PAGE.policy };
      case '/metrics':
        return this.#metrics.get();
      case '/mirrors':
        return { status: 200, type: JSON_TYPE, body: await this.#mirrors.get() };
      case '/queries':
        return { status: 200, type: JSON_TYPE, body: await this.#queries.get() };
      case '/healthz':
        return { status: 200, type: JSON_TYPE, body: JSON.stringify({ status: 'ok', version: this.#host.version }) };
      case '/readyz':
        return this.#readiness();
      default:
        return plain(404, 'Served are /, /metrics, /mirrors, /queries, /healthz and /readyz.');
    }
  }

  async #readiness(): Promise<Answer> {
    const { state, sources, refused } = await this.#host.readiness();
    const ready = state === 'running' && Object.values(sources).some((reachable) => reachable);
    return { status: ready ? 200 : 503, type: JSON_TYPE, body: JSON.stringify({ ready, state, sources, refused }) };
  }
}

function plain(status: number, text: string): Answer {
  return { status, type: TEXT_TYPE, body: `${text}\n` };
}
