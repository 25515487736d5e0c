import type { LoggedInServer, ServerLogin } from '../../pool/connect-server.ts';

/** Logs in to a server; rejects with an error whose `code` is the server's SQLSTATE, if it sent one. */
export type Connect = (login: ServerLogin) => Promise<LoggedInServer>;
