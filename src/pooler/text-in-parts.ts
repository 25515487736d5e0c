import type { StateWatch } from '../session/state-watch.ts';
import { PART_OVERLAP, touchesOfPart } from '../session/state-touches.ts';

/** The text of a Query that is passed on as it comes, and not kept: watched for what it does to the session all the same. */
export class TextInParts {
  readonly #watch: StateWatch;
  /** The end of the last part; `undefined`: there was none. */
  #end: string | undefined;

  constructor(watch: StateWatch) {
    this.#watch = watch;
  }

  /** The next part is being sent. */
  sent(bytes: Buffer, start: number, end: number): void {
    const part = (this.#end ?? '') + bytes.toString('latin1', start, end);
    this.#watch.sentInPart(touchesOfPart(part, this.#end === undefined), part);
    this.#end = part.slice(-PART_OVERLAP);
  }
}
