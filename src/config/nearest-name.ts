/** The known name most like `name`: one that contains it or is contained in it first, then the fewest edits; undefined without any. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  let nearest: string | undefined;
  let smallest = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = likeness(name.toLowerCase(), candidate.toLowerCase());
    if (distance < smallest) {
      smallest = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

/** Whole words in common say more than letters: `pool_size` means `default_pool_size` rather than `pooler_mode`. */
function likeness(name: string, candidate: string): number {
  const edits = editDistance(name, candidate);
  const shorter = Math.min(name.length, candidate.length);
  const contained = candidate.includes(name) || name.includes(candidate);
  return contained && shorter >= 4 ? Math.min(edits, 1 + edits / 100) : edits;
}

/** Levenshtein's distance, in which two neighbouring letters changing places count as one edit. */
export function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let edits = Math.min(
        at(previous, column) + 1,
        at(current, column - 1) + 1,
        at(previous, column - 1) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) edits = Math.min(edits, at(beforePrevious, column - 2) + 1);
      current.push(edits);
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
