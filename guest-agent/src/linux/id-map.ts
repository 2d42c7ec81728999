// Ids of a user namespace and what they are outside of it (user_namespaces(7)).

/** `size` ids in a row: from `inner` on in the namespace, from `outer` on outside of it. */
export interface IdRange {
  readonly inner: number;
  readonly outer: number;
  readonly size: number;
}

/** The outer id of an inner one; undefined when it has none. */
export function outerId(map: readonly IdRange[], inner: number): number | undefined {
  const range = map.find((one) => inner >= one.inner && inner < one.inner + one.size);
  return range && range.outer + (inner - range.inner);
}
