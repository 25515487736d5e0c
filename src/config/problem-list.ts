import { problemLine, type Problem } from './problem.ts';

/** The problems of one file, in the order they were found; of one key only the first, since the rest follow from it. */
export class ProblemList {
  readonly #file: string;
  readonly #lines = new Map<string, string>();

  constructor(file: string) {
    this.#file = file;
  }

  add(problem: Problem): void {
    if (!this.#lines.has(problem.key)) this.#lines.set(problem.key, problemLine(this.#file, problem));
  }

  get lines(): string[] {
    return [...this.#lines.values()];
  }
}
