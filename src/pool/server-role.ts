/** Parameters by which a server tells what can be done on it (manual, "ParameterStatus"); it reports them from version 14 on. */
const TELLING: ReadonlySet<string> = new Set(['in_hot_standby', 'default_transaction_read_only']);

/** What a server said at a login of what can be done on it: equal texts are equal roles. */
export function serverRole(reported: ReadonlyMap<string, string>): string {
  return [...TELLING].map((name) => reported.get(name) ?? '').join();
}

/** Whether a change of this parameter means that the server's role has changed. */
export function tellsRole(parameter: string): boolean {
  return TELLING.has(parameter);
}
