// npm run ok: everything that can be told in seconds and without privileges.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pinnedNode, projectDirectory } from './lib/paths.ts';

const program = (name: string): string => join(projectDirectory, 'node_modules', name);
const CHECKS: readonly (readonly [title: string, script: string, ...args: string[]])[] = [
  ['format and lint', program('@biomejs/biome/bin/biome'), 'ci'],
  ['types of the host', program('typescript/bin/tsc'), '-p', '.'],
  ['types of the guest agent', program('typescript/bin/tsc'), '-p', 'guest-agent'],
  ['types of the shim', program('typescript/bin/tsc'), '-p', 'shim'],
  ['unit tests, architecture test', program('vitest/vitest.mjs'), 'run', '--project', 'unit', '--reporter', 'dot'],
];

const results = await Promise.all(
  CHECKS.map(async ([title, ...command]) => {
    const child = spawn(pinnedNode, command, { cwd: projectDirectory, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const [status] = await once(child, 'close');
    return { title, output, passed: status === 0 };
  }),
);
for (const { title, output, passed } of results) {
  process.stdout.write(`${passed ? 'ok  ' : 'FAIL'} ${title}\n`);
  if (!passed) process.stdout.write(`${output}\n`);
}
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
