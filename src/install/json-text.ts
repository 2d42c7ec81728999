// Adds members to JSON objects and takes them out again as edits of the text: all else keeps its order, indentation and spaces,
// and what was added can be taken out to the byte. The text must be JSON (JSON.parse has accepted it), an object at the top.

/** A place in the text: the key's first character, the value's first, and the one behind the value. */
interface Member {
  readonly key: string;
  readonly start: number;
  readonly value: number;
  readonly end: number;
}

interface JsonObject {
  /** Of the brace. */
  readonly open: number;
  readonly members: readonly Member[];
}

const DEFAULT_INDENTATION = '  ';
const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{}]/g;
const SCALAR = /[^\s,\]}]+/y;
const SPACE = /\s*/y;

/**
 * Adds a member to the object that `path` leads to, or gives the one that is there another value. Objects on the way that are not
 * there are made, in lines of their own; an object that was empty gets its first member right behind its brace. By that,
 * `withoutMember` tells the one from the other.
 */
export function withMember(text: string, path: readonly [string, ...string[]], value: unknown): string {
  let object = objectAt(text, text.indexOf('{'));
  const indentation = /\n([ \t]+)/.exec(spaceBefore(text, object))?.[1] ?? DEFAULT_INDENTATION;
  for (const [depth, key] of path.entries()) {
    const rest = path.slice(depth + 1);
    const found = memberOf(object, key);
    if (found === undefined) return withNewMember(text, object, key, nested(rest, value), indentation, rest.length > 0);
    if (rest.length === 0) return text.slice(0, found.value) + JSON.stringify(value) + text.slice(found.end);
    object = objectAt(text, found.value);
  }
  return text;
}

/**
 * Takes out a member, and the objects that were made for it if nothing else is in them.
 * @returns undefined when nothing is left of the whole
 */
export function withoutMember(text: string, path: readonly string[]): string | undefined {
  const key = path.at(-1);
  if (key === undefined) return undefined;
  const object = path.slice(0, -1).reduce<JsonObject | undefined>(
    (now, step) => {
      const found = now && memberOf(now, step);
      return found && text[found.value] === '{' ? objectAt(text, found.value) : undefined;
    },
    objectAt(text, text.indexOf('{')),
  );
  const found = object && memberOf(object, key);
  if (object === undefined || found === undefined) return text;
  const index = object.members.indexOf(found);
  const [before, after] = [object.members[index - 1], object.members[index + 1]];
  if (before !== undefined) return text.slice(0, before.end) + text.slice(found.end);
  if (after !== undefined) return text.slice(0, found.start) + text.slice(after.start);
  const wasMade = spaceBefore(text, object).includes('\n');
  return wasMade ? withoutMember(text, path.slice(0, -1)) : text.slice(0, found.start) + text.slice(found.end);
}

function withNewMember(
  text: string,
  object: JsonObject,
  key: string,
  value: unknown,
  indentation: string,
  isInLines: boolean,
): string {
  const last = object.members.at(-1);
  const space = last === undefined ? '' : spaceBefore(text, object);
  const margin = space.slice(space.lastIndexOf('\n') + 1);
  const isSpread = isInLines || space.includes('\n');
  const written = isSpread
    ? JSON.stringify(value, null, indentation).replaceAll('\n', `\n${margin}`)
    : JSON.stringify(value);
  const member = `${last === undefined ? '' : ','}${space}${JSON.stringify(key)}: ${written}`;
  const place = last?.end ?? object.open + 1;
  return text.slice(0, place) + member + text.slice(place);
}

function nested(path: readonly string[], value: unknown): unknown {
  return path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
}

/** The last one, as for parsers of JSON. */
function memberOf({ members }: JsonObject, key: string): Member | undefined {
  return members.findLast((member) => member.key === key);
}

/** What stands between the brace and the first member. */
function spaceBefore(text: string, { open, members }: JsonObject): string {
  return members[0] === undefined ? '' : text.slice(open + 1, members[0].start);
}

function objectAt(text: string, open: number): JsonObject {
  const members: Member[] = [];
  let start = skip(SPACE, text, open + 1);
  while (text[start] === '"') {
    const keyEnd = valueEnd(text, start);
    const value = skip(SPACE, text, skip(SPACE, text, keyEnd) + ':'.length);
    const end = valueEnd(text, value);
    members.push({ key: JSON.parse(text.slice(start, keyEnd)), start, value, end });
    start = skip(SPACE, text, skip(SPACE, text, end) + ','.length);
  }
  return { open, members };
}

function valueEnd(text: string, start: number): number {
  if (!'"{['.includes(text[start] ?? '')) return skip(SCALAR, text, start);
  let depth = 0;
  TOKEN.lastIndex = start;
  do {
    const token = TOKEN.exec(text)?.[0] ?? '';
    if ('{['.includes(token)) depth += 1;
    else if (']}'.includes(token)) depth -= 1;
  } while (depth > 0);
  return TOKEN.lastIndex;
}

function skip(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start;
  return pattern.test(text) ? pattern.lastIndex : start;
}
