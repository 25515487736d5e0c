/** What the control mirror answered to the requests of one transaction. */
export class ControlNotes {
  readonly #differed: boolean[] = [];
  #isOver = false;

  /** It answered; whether otherwise than the source. */
  note(request: number, differed: boolean): void {
    this.#differed[request] = differed;
  }

  /** It has done with the transaction. */
  over(): void {
    this.#isOver = true;
  }

  /** `unknown`: it has not come to that yet; `never`: it does not. */
  differed(request: number): 'yes' | 'no' | 'never' | 'unknown' {
    const differed = this.#differed[request];
    if (differed !== undefined) return differed ? 'yes' : 'no';
    return this.#isOver ? 'never' : 'unknown';
  }
}
