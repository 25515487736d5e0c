/** Parameters by which a server tells what can be done on it (manual, "ParameterStatus"); it reports them from version 14 on. */
const STANDBY = 'in_hot_standby';
/** One that sessions can set, too. */
export const READ_ONLY = 'default_transaction_read_only';

/** What a server said at a login of what can be done on it: equal texts are equal roles. */
export function serverRole(reported: ReadonlyMap<string, string>): string {
  return `${reported.get(STANDBY) ?? ''},${reported.get(READ_ONLY) ?? ''}`;
}

/** Whether a change of this parameter means that the server's role has changed. */
export function tellsRole(parameter: string): boolean {
  return parameter === STANDBY || parameter === READ_ONLY;
}
