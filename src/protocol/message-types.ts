/**
 * The type bytes of the frontend/backend protocol (PostgreSQL manual, "Message Formats").
 * Plain numbers, so that the relay compares one byte and nothing else.
 */

/** Types of messages sent by a client. */
export const Frontend = {
  Bind: 0x42, // B
  Close: 0x43, // C
  CopyData: 0x64, // d
  CopyDone: 0x63, // c
  CopyFail: 0x66, // f
  Describe: 0x44, // D
  Execute: 0x45, // E
  Flush: 0x48, // H
  FunctionCall: 0x46, // F
  Parse: 0x50, // P
  Password: 0x70, // p: PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse
  Query: 0x51, // Q
  Sync: 0x53, // S
  Terminate: 0x58, // X
} as const;

/** Types of messages sent by a server. */
export const Backend = {
  Authentication: 0x52, // R
  BackendKeyData: 0x4b, // K
  BindComplete: 0x32, // 2
  CloseComplete: 0x33, // 3
  CommandComplete: 0x43, // C
  CopyBothResponse: 0x57, // W
  CopyData: 0x64, // d
  CopyDone: 0x63, // c
  CopyInResponse: 0x47, // G
  CopyOutResponse: 0x48, // H
  DataRow: 0x44, // D
  EmptyQueryResponse: 0x49, // I
  ErrorResponse: 0x45, // E
  FunctionCallResponse: 0x56, // V
  NegotiateProtocolVersion: 0x76, // v
  NoData: 0x6e, // n
  NoticeResponse: 0x4e, // N
  NotificationResponse: 0x41, // A
  ParameterDescription: 0x74, // t
  ParameterStatus: 0x53, // S
  ParseComplete: 0x31, // 1
  PortalSuspended: 0x73, // s
  ReadyForQuery: 0x5a, // Z
  RowDescription: 0x54, // T
} as const;

/** The status byte of ReadyForQuery: idle, in a transaction block, in a failed transaction block. */
export const TransactionStatus = {
  Idle: 0x49, // I
  InTransaction: 0x54, // T
  Failed: 0x45, // E
} as const;

/** What Describe and Close name: a prepared statement or a portal. */
export const Target = {
  Portal: 0x50, // P
  Statement: 0x53, // S
} as const;

/** Type byte and four-byte length. */
export const HEADER_LENGTH = 5;

/** The longest message PostgreSQL takes from a client (PQ_LARGE_MESSAGE_LIMIT, MaxAllocSize - 1). */
export const LARGE_MESSAGE_LIMIT = 0x3fffffff - 1;

/** The longest message of a type that carries no bulk (PQ_SMALL_MESSAGE_LIMIT in libpq/libpq.h). */
export const SMALL_MESSAGE_LIMIT = 10_000;

/** Whether a client's message belongs to a COPY that the server takes data of: its data, its end, or what is ignored amid it. */
export function isPartOfCopy(type: number): boolean {
  switch (type) {
    case Frontend.CopyData:
    case Frontend.CopyDone:
    case Frontend.CopyFail:
    case Frontend.Sync:
    case Frontend.Flush:
      return true;
    default:
      return false;
  }
}
