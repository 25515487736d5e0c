/** Command tags of what may give a prepared statement's result another shape. */
const REDEFINES = /^(?:ALTER (?:TABLE|VIEW|MATERIALIZED VIEW|FOREIGN TABLE|TYPE|DOMAIN|FUNCTION|SCHEMA)|CREATE VIEW)$/;

/** Whether a command with this tag may change what statements that were prepared before give. */
export function redefines(tag: string): boolean {
  return REDEFINES.test(tag);
}

/** Counts how often the definitions of a mirror's relations have changed, as far as what is replayed there tells. */
export class Definitions {
  version = 0;
}
