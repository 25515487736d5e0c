/** Whether the CommandComplete at `at` has exactly this tag. */
export function commandTagIs(bytes: Buffer, at: number, tag: string): boolean {
  const start = at + 5;
  if (bytes[start + tag.length] !== 0) return false;
  for (let index = 0; index < tag.length; index++) if (bytes[start + index] !== tag.charCodeAt(index)) return false;
  return true;
}
