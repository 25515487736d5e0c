import { BroadcastChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import type { PreparedExchange, PreparedNews } from '../mirror/record/prepared-book.ts';

/**
 * How pooler threads tell each other, and the supervisor, of two-phase commits. What one tells can be taken by the others as
 * soon as it is told, without a turn of their event loops.
 */
export class PreparedChannel implements PreparedExchange {
  readonly #channel: BroadcastChannel;

  /** `name`: of this pgmirror's own. `heard` is called with what was not taken before. */
  constructor(name: string, heard: (news: PreparedNews) => void) {
    this.#channel = new BroadcastChannel(`${name} prepared`);
    this.#channel.addEventListener('message', ({ data }: { readonly data: unknown }) => heard(data as PreparedNews));
    this.#channel.unref();
  }

  tell(news: PreparedNews): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel is no window: it has no origin
    this.#channel.postMessage(news);
  }

  take(): PreparedNews | undefined {
    // The manual allows it of a BroadcastChannel; its types do not know yet.
    const port = this.#channel as unknown as MessagePort;
    const received: { readonly message: PreparedNews } | undefined = receiveMessageOnPort(port);
    return received?.message;
  }

  close(): void {
    this.#channel.close();
  }
}
