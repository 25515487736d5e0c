import { createHash } from 'node:crypto';
import type { ParameterSet } from '../../session/parameter-set.ts';

/** What keeps its roll: nothing, a connection, a user, an application name. */
export type Sticky = 'none' | 'client' | 'user' | 'application_name';

/** What a mirror asks of the clients whose transactions it takes. */
export interface ClientConditions {
  readonly sticky: Sticky;
  /** Users and application names it takes; `undefined`: all. */
  readonly users: ReadonlySet<string> | undefined;
  readonly applicationNames: ReadonlySet<string> | undefined;
}

/** Two to the power of 48. */
const SHARE_UNITS = 281_474_976_710_656;

/**
 * A name's place between 0 and 1, the same in every thread and on every machine. A mirror takes the names whose place is
 * below its exposure: raising that adds names, and takes none away.
 */
export function placeOf(name: string): number {
  return createHash('sha256').update(name).digest().readUIntBE(0, 6) / SHARE_UNITS;
}

/** What of a client decides whether a mirror gets its transactions. */
export class ClientTraits {
  readonly #user: string;
  /** The roll that the connection keeps. */
  readonly #roll: number;
  #userPlace: number | undefined;
  #name: string | undefined;
  #namePlace = 0;

  constructor(user: string, roll: number) {
    this.#user = user;
    this.#roll = roll;
  }

  /** Whether the mirror takes transactions of this client at all. */
  suits({ users, applicationNames }: ClientConditions, settings: ParameterSet): boolean {
    if (users !== undefined && !users.has(this.#user)) return false;
    return applicationNames === undefined || applicationNames.has(applicationName(settings));
  }

  /** What is compared with the exposure. `fresh`: a roll for this transaction. */
  place(sticky: Sticky, settings: ParameterSet, fresh: number): number {
    switch (sticky) {
      case 'none':
        return fresh;
      case 'client':
        return this.#roll;
      case 'user':
        return (this.#userPlace ??= placeOf(this.#user));
      case 'application_name':
        return this.#placeOfName(applicationName(settings));
    }
  }

  #placeOfName(name: string): number {
    if (name !== this.#name) {
      this.#name = name;
      this.#namePlace = placeOf(name);
    }
    return this.#namePlace;
  }
}

function applicationName(settings: ParameterSet): string {
  return settings.entries.get('application_name') ?? '';
}
