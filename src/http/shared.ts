/** An answer that is made once for all who ask at about the same time, so that their number costs nothing. */
export class Shared<T> {
  readonly #freshMs: number;
  readonly #make: () => Promise<T>;
  #answer: Promise<T> | undefined;
  #freshUntil = Infinity;

  /** An answer is given to those who ask until `freshMs` after it was there. */
  constructor(freshMs: number, make: () => Promise<T>) {
    this.#freshMs = freshMs;
    this.#make = make;
  }

  get(): Promise<T> {
    if (this.#answer === undefined || performance.now() > this.#freshUntil) {
      this.#freshUntil = Infinity;
      this.#answer = this.#make();
      this.#answer.then(
        () => (this.#freshUntil = performance.now() + this.#freshMs),
        // Who asks next is not to be told of this failure.
        () => (this.#freshUntil = -Infinity),
      );
    }
    return this.#answer;
  }
}
