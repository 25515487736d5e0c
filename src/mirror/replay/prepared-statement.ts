import { Effect, effectsOf } from './statement-effects.ts';
import { twoPhaseIn } from '../record/two-phase.ts';
import type { TwoPhase } from '../record/two-phase.ts';
import { headWords } from '../../session/statement-text.ts';
import { judgeText } from './denied.ts';
import type { TextVerdict } from './denied.ts';

/** A prepared statement as clients made it: what its Parse message said, and what follows from its text. */
export class PreparedStatement {
  /** Pool-wide: the same on the source and on the mirrors; empty for the unnamed statement. */
  readonly name: string;
  /** What follows the name in a Parse message. */
  readonly definition: Buffer;
  /** Its result was seen to have another shape than when it was prepared, be it in another schema. */
  varies = false;
  #text: string | undefined;
  #verdict: TextVerdict | undefined;
  /** null: none; undefined: not looked for yet. */
  #twoPhase: TwoPhase | null | undefined;
  #effects: number = Effect.None;
  #effectsKnown = false;

  /** `definition` is copied. */
  constructor(name: string, definition: Uint8Array) {
    this.name = name;
    this.definition = Buffer.from(definition);
  }

  /** The statement's text, its bytes as characters (latin1). */
  get text(): string {
    const end = this.definition.indexOf(0);
    return (this.#text ??= this.definition.toString('latin1', 0, end < 0 ? this.definition.length : end));
  }

  /** Its first words, in lower case. */
  get words(): readonly string[] {
    return headWords(this.text);
  }

  /** What is to be thought of its text; the value of standard_conforming_strings with which it is run. */
  verdictWith(standardConformingStrings: boolean): TextVerdict {
    if (!standardConformingStrings) return judgeText(this.text, false);
    return (this.#verdict ??= judgeText(this.text));
  }

  /** The half of a two-phase commit that it is. */
  get twoPhase(): TwoPhase | undefined {
    if (this.#twoPhase === undefined) this.#twoPhase = twoPhaseIn(this.text) ?? null;
    return this.#twoPhase ?? undefined;
  }

  /** What it does; the value of standard_conforming_strings with which it is run. */
  effectsWith(standardConformingStrings: boolean): number {
    if (!standardConformingStrings) return effectsOf(this.text, false);
    if (!this.#effectsKnown) {
      this.#effects = effectsOf(this.text);
      this.#effectsKnown = true;
    }
    return this.#effects;
  }

  isSameAs(name: string, definition: Uint8Array): boolean {
    return this.name === name && this.definition.equals(definition);
  }
}
