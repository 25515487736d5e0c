/** admin_shutdown and crash_shutdown. */
const OF_THE_SERVER: ReadonlySet<string> = new Set(['57P01', '57P02']);

/** A server says with this SQLSTATE that it ends connections, whatever they run: it stops, or another one's crash takes all along. */
export function endsConnections(sqlstate: string): boolean {
  return OF_THE_SERVER.has(sqlstate);
}
