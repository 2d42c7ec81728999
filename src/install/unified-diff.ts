// What changes in a file, as `diff -u` shows it.
import { spawnSync } from 'node:child_process';

const NO_FILE = '/dev/null';
/** diff(1): 0 when they are the same, 1 when not, 2 for trouble. */
const DIFFERENT = 1;

/**
 * @param path of the file with the old text, which need not be there
 * @param isThere whether it is
 * @param text the new one; undefined for a file that goes
 * @returns without diff(1) on this machine, the new text
 */
export function unifiedDiff(path: string, isThere: boolean, text: string | undefined): string {
  const labels = ['--label', isThere ? path : NO_FILE, '--label', text === undefined ? NO_FILE : path];
  const { status, stdout } = spawnSync('diff', ['-u', ...labels, '--', isThere ? path : NO_FILE, '-'], {
    input: text ?? '',
    encoding: 'utf8',
    maxBuffer: Number.POSITIVE_INFINITY,
  });
  if (status === DIFFERENT) return stdout;
  return text === undefined ? `--- ${path}\n+++ ${NO_FILE}\n` : `+++ ${path}, whole:\n${text}`;
}
