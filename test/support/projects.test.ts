import { globSync } from 'node:fs';
import { matchesGlob } from 'node:path';
import { expect, test } from 'vitest';
import { projectDirectory } from '../../scripts/lib/paths.ts';
import config from '../../vitest.config.ts';

interface Patterns {
  readonly test: { readonly name: string; readonly include: string[]; readonly exclude?: string[] };
}

test('every test file belongs to exactly one project', () => {
  const projects = (config.test?.projects ?? []) as unknown as readonly Patterns[];
  const files = globSync('**/*.test.ts', { cwd: projectDirectory, exclude: ['node_modules/**', 'build/**'] });
  const matches = (file: string, patterns: readonly string[]): boolean =>
    patterns.some((pattern) => matchesGlob(file, pattern));
  const owners = files.map((file) => ({
    file,
    projects: projects
      .filter(({ test }) => matches(file, test.include) && !matches(file, test.exclude ?? []))
      .map(({ test }) => test.name),
  }));
  expect(files.length).toBeGreaterThan(0);
  expect(owners.filter((owner) => owner.projects.length !== 1)).toEqual([]);
});
