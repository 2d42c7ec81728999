// npm test [-- VITEST ARGUMENT...]: builds everything, then runs every test, those that need a guest included.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { buildAll, builders } from './lib/artefacts.ts';
import { chooseHost, describeHost } from './lib/host.ts';
import { pinnedNode, projectDirectory } from './lib/paths.ts';
import { reportFailure } from './lib/report.ts';

async function test(vitestArguments: readonly string[]): Promise<void> {
  await buildAll(Object.keys(builders));
  process.stderr.write(`tskata: ${describeHost(await chooseHost())}\n`);
  const vitest = join(projectDirectory, 'node_modules/vitest/vitest.mjs');
  const child = spawn(pinnedNode, [vitest, 'run', ...vitestArguments], { cwd: projectDirectory, stdio: 'inherit' });
  const [status] = await once(child, 'close');
  process.exitCode = status ?? 1;
}

await test(process.argv.slice(2)).catch(reportFailure);
