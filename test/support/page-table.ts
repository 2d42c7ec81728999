// Tables in pages of docs/ that are made of the tests' own data.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { projectDirectory } from '../../scripts/lib/paths.ts';

/**
 * Compares a table of a page, which stands between the comments `name` and `end of name`; `vitest run -u` writes it anew.
 * @param page path from the project's folder
 */
export async function expectTableInPage(page: string, name: string, table: string): Promise<void> {
  const path = join(projectDirectory, page);
  const [begin, end] = [`<!-- ${name} -->\n`, `\n<!-- end of ${name} -->`];
  const [before = '', rest = ''] = readFileSync(path, 'utf8').split(begin);
  const [, after = ''] = rest.split(end);
  await expect(`${before}${begin}${table}${end}${after}`).toMatchFileSnapshot(path);
}
