import { isIPv6 } from 'node:net';
import { monotonicNow } from '../util/clock.ts';

const MINUTE_MS = 60_000;
/** Addresses remembered at most: a botnet must not fill the memory. */
const MAX_ADDRESSES = 10_000;

interface Account {
  /** Failures that still count at `at`. */
  level: number;
  at: number;
}

/**
 * Counts failed logins by address, so that passwords cannot be guessed faster than `limit` a minute: each failure fills
 * the address's account by one, which drains by `limit` a minute, and a full account lets nobody try. A success drains
 * nothing: whoever has one account could else guess at the others for ever.
 */
export class LoginFailures {
  readonly #accounts = new Map<string, Account>();
  readonly #now: () => number;
  /** A minute; 0: no limit. */
  limit: number;

  constructor(limit: number, now: () => number = monotonicNow) {
    this.limit = limit;
    this.#now = now;
  }

  /** Notes a failure. True when it is the one that fills the account. */
  failed(address: string): boolean {
    if (this.limit === 0) return false;
    const key = accountKey(address);
    const account = this.#drained(key) ?? { level: 0, at: this.#now() };
    const wasFull = this.#isFull(account);
    account.level = Math.min(account.level + 1, this.limit);
    // Deleted and set again, it is the last to be forgotten.
    this.#accounts.delete(key);
    this.#accounts.set(key, account);
    if (this.#accounts.size > MAX_ADDRESSES) this.#forgetOne();
    return !wasFull && this.#isFull(account);
  }

  /** Whether nobody may try from there now. */
  refuses(address: string): boolean {
    if (this.limit === 0) return false;
    const account = this.#drained(accountKey(address));
    return account !== undefined && this.#isFull(account);
  }

  #isFull(account: Account): boolean {
    // One more fits once a whole failure has drained.
    return account.level > this.limit - 1;
  }

  #drained(key: string): Account | undefined {
    const account = this.#accounts.get(key);
    if (account === undefined) return undefined;
    const now = this.#now();
    account.level -= ((now - account.at) * this.limit) / MINUTE_MS;
    account.at = now;
    if (account.level > 0) return account;
    this.#accounts.delete(key);
    return undefined;
  }

  #forgetOne(): void {
    const [oldest] = this.#accounts.keys();
    if (oldest !== undefined) this.#accounts.delete(oldest);
  }
}

/** Who is counted together: an IPv4 address, also in its IPv6 spelling; of IPv6 the network, which one host owns whole. */
function accountKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? [];
  const groups = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? 0 : tail.split(':').length;
  if (tail !== undefined) groups.push(...Array.from({ length: Math.max(8 - groups.length - after, 0) }, () => '0'));
  if (tail !== undefined && tail !== '') groups.push(...tail.split(':'));
  return groups
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':');
}
