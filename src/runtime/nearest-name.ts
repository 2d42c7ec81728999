// Which name somebody meant who wrote another.

/** The name that takes the fewest changes of a letter to get to; undefined when none is near. */
export function nearestName(wrong: string, names: readonly string[]): string | undefined {
  const [nearest] = names
    .map((name) => ({ name, changes: distance(wrong, name) }))
    // More than that, and any short name is near to any other.
    .filter(({ name, changes }) => changes <= Math.max(wrong.length, name.length) / 3)
    .sort((a, b) => a.changes - b.changes);
  return nearest?.name;
}

/** Levenshtein's: how many letters are to be added, taken away or exchanged. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [line, letter] of [...from].entries()) {
    let left = line + 1;
    const next = [left];
    for (const [column, other] of [...to].entries()) {
      const diagonal = (row[column] ?? 0) + (letter === other ? 0 : 1);
      left = Math.min(left + 1, (row[column + 1] ?? 0) + 1, diagonal);
      next.push(left);
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
