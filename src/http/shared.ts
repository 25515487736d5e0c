/** An answer that is made once for all who ask at about the same time, so that their number costs nothing. */
export class Shared<T> {
  readonly #freshMs: number;
  readonly #make: () => Promise<T>;
  #answer: Promise<T> | undefined;
  #madeAt = -Infinity;

  constructor(freshMs: number, make: () => Promise<T>) {
    this.#freshMs = freshMs;
    this.#make = make;
  }

  get(): Promise<T> {
    const now = performance.now();
    if (this.#answer === undefined || now - this.#madeAt > this.#freshMs) {
      this.#madeAt = now;
      this.#answer = this.#make();
      // Who asks next is not to be told of this failure.
      this.#answer.catch(() => (this.#madeAt = -Infinity));
    }
    return this.#answer;
  }
}
