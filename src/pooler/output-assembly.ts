import { copyBytes } from '../util/copy-bytes.ts';

const FIRST_SCRATCH_BYTES = 65_536;

/**
 * What goes to a server in one write. As long as it is one unbroken run of the client's own bytes it is a reference to
 * them and nothing is copied; the first name that must be written otherwise, or message of our own, makes it a copy in a
 * scratch buffer, which all sessions of a thread share: it is handed to `write` whole, and replaced only while a write
 * of it is pending.
 */
export class OutputAssembly {
  #source: Buffer | undefined;
  #start = 0;
  #end = 0;
  #scratch = Buffer.allocUnsafeSlow(FIRST_SCRATCH_BYTES);
  #used = 0;

  get empty(): boolean {
    return this.#source === undefined && this.#used === 0;
  }

  append(bytes: Buffer, start: number, end: number): void {
    if (this.#used === 0) {
      if (this.#source === undefined) {
        this.#source = bytes;
        this.#start = start;
        this.#end = end;
        return;
      }
      if (this.#source === bytes && this.#end === start) {
        this.#end = end;
        return;
      }
      this.#toScratch();
    }
    this.#room(end - start);
    this.#used = copyBytes(bytes, start, end, this.#scratch, this.#used);
  }

  /** A message of our own. */
  appendAll(bytes: Buffer): void {
    this.append(bytes, 0, bytes.length);
  }

  /**
   * The message at `start`–`end` (of `size` bytes in all, where its end has not come yet) with the name at
   * `nameStart`–`nameEnd` (closing zero byte included) replaced. Returns the scratch buffer's range of what was written.
   */
  appendRenamed(
    bytes: Buffer,
    start: number,
    end: number,
    size: number,
    nameStart: number,
    nameEnd: number,
    name: Buffer,
  ): void {
    if (this.#used === 0 && this.#source !== undefined) this.#toScratch();
    this.#room(end - start + name.length);
    const scratch = this.#scratch;
    let at = this.#used;
    scratch[at] = bytes[start] ?? 0;
    at = scratch.writeUInt32BE(size - 1 - (nameEnd - nameStart) + name.length, at + 1);
    at = copyBytes(bytes, start + 5, nameStart, scratch, at);
    at = copyBytes(name, 0, name.length, scratch, at);
    at = copyBytes(bytes, nameEnd, end, scratch, at);
    this.lastStart = this.#used;
    this.#used = at;
  }

  /** Where in `scratch` the last renamed message begins; it ends at `used`. */
  lastStart = 0;

  get scratch(): Buffer {
    return this.#scratch;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes what has been put together: valid until the next append. */
  take(): Buffer {
    let taken: Buffer;
    if (this.#source !== undefined) {
      const whole = this.#start === 0 && this.#end === this.#source.length;
      taken = whole ? this.#source : this.#source.subarray(this.#start, this.#end);
    } else {
      taken = this.#scratch.subarray(0, this.#used);
    }
    this.#source = undefined;
    this.#used = 0;
    return taken;
  }

  /** The last taken bytes are still being written: the scratch buffer is theirs. */
  pending(taken: Buffer): void {
    if (taken.buffer === this.#scratch.buffer) this.#scratch = Buffer.allocUnsafeSlow(FIRST_SCRATCH_BYTES);
  }

  #toScratch(): void {
    const source = this.#source;
    if (source === undefined) return;
    this.#source = undefined;
    this.#room(this.#end - this.#start);
    this.#used = source.copy(this.#scratch, 0, this.#start, this.#end);
  }

  #room(more: number): void {
    if (this.#used + more <= this.#scratch.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#scratch.length * 2, this.#used + more));
    this.#scratch.copy(grown, 0, 0, this.#used);
    this.#scratch = grown;
  }
}
