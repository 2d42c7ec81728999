// A block of lines between two marks in a file whose comments start with #: added at the end, written again in its place, and taken
// out so that the file is what it was, to the byte.

const BEGIN = '# tskata install: begin. "tskata install" writes these lines again, "tskata uninstall" removes them.';
const END = '# tskata install: end.';
const BLOCK = /^# tskata install: begin.*\n(?:.*\n)*?# tskata install: end\..*$/m;
const BEGIN_LINE = /^# tskata install: begin/m;

/** The first line of a file that was not there before. */
const MADE = '# Made by "tskata install"; goes with "tskata uninstall" if nothing is added.\n';

/**
 * @param text of the file; undefined where there is none
 * @param lines of the block, without the last line's end
 * @param head what a new file starts with, before the block
 */
export function withBlock(text: string | undefined, lines: string, head = ''): string {
  const block = `${BEGIN}\n${lines}\n${END}`;
  if (text === undefined) return withBlock(MADE + head, lines);
  if (BLOCK.test(text)) return text.replace(BLOCK, () => block);
  if (text === '') return `${block}\n`;
  return text.endsWith('\n') ? `${text}\n${block}\n` : `${text}\n\n${block}`;
}

/** @returns the text as it was before; undefined where the block is all there is in a file that was made for it */
export function withoutBlock(text: string, heads: readonly string[] = ['']): string | undefined {
  const found = BLOCK.exec(text);
  if (found === null) return text;
  const before = text.slice(0, found.index);
  const after = text.slice(found.index + found[0].length);
  // A file that did not end with a line's end has none behind the block either.
  const rest = after === '' ? before.replace(/\n{1,2}$/, '') : before.replace(/\n\n$/, '\n') + after.slice(1);
  return heads.some((head) => rest === MADE + head) ? undefined : rest;
}

/** Whether somebody has cut off the end of a block, so that it cannot be told where it ends. */
export function hasBrokenBlock(text: string): boolean {
  return BEGIN_LINE.test(text) && !BLOCK.test(text);
}
