// `tskata` with that sandbox process.
import { join } from 'node:path';
import { runTskata } from '../../src/cli/tskata.ts';
import { findInstallation } from '../../src/runtime/installation.ts';

const installation = { ...findInstallation(), sandboxProgram: join(import.meta.dirname, 'agent-sandbox.js') };
void runTskata(process.argv.slice(2), installation).then((status) => {
  process.exitCode = status;
});
