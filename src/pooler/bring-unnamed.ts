import { close, parse } from '../protocol/frontend-messages.ts';
import { Target } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import type { RequestOutput } from './request-output.ts';
import type { Server, SessionLink } from './session-link.ts';

/**
 * Begins a request that needs the unnamed statement. False: the server has another, and is to be brought the client's,
 * for it must never be another client's; `undefined`: not now.
 */
export function unnamedIsThere(link: SessionLink, output: RequestOutput, server: Server): boolean | undefined {
  const { unnamed } = link;
  const isOn = unnamed.isOn(server.state, link, output.segment);
  // A simple query on its way destroys what would be brought back here; one in COPY has done so.
  const { requests, copyIn } = server.state.answers;
  if (isOn === 'unknown' || (!isOn && requests > 0 && !copyIn)) return undefined;
  output.beginRequest();
  const { latest, latestRequest } = unnamed;
  // Parsed by an earlier request it may come from an earlier transaction, which a mirror may not have got.
  if (latest !== undefined && latestRequest !== output.requests) {
    link.recorder?.usesUnnamed(latest.bytes, latest.start, latest.end);
  }
  return isOn || requests > 0;
}

/** Makes the server's unnamed statement the client's own. */
export function bringUnnamed({ unnamed }: SessionLink, output: RequestOutput, server: Server): void {
  const { latest, latestRequest } = unnamed;
  const subject = { kind: 'unnamed', deallocates: latest?.deallocates } as const;
  if (latest === undefined) {
    output.inject(server, Owed.Close, close(Target.Statement, ''), subject);
  } else {
    const definition = latest.bytes.subarray(latest.start, latest.end);
    output.inject(server, Owed.Parse, parse('', definition), subject);
  }
  unnamed.changing(latest, output.segment, latestRequest);
}
