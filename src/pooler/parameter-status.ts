/** Name and value of the ParameterStatus at `start`–`end`. Throws RangeError where it has no two strings. */
export function readParameterStatus(bytes: Buffer, start: number, end: number): { name: string; value: string } {
  const nameEnd = bytes.indexOf(0, start + 5);
  const valueEnd = nameEnd < 0 ? -1 : bytes.indexOf(0, nameEnd + 1);
  if (valueEnd < 0 || valueEnd >= end) throw new RangeError('malformed ParameterStatus');
  return { name: bytes.toString('utf8', start + 5, nameEnd), value: bytes.toString('utf8', nameEnd + 1, valueEnd) };
}
