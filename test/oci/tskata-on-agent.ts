// `tskata` with that sandbox process. The rest is loaded when V8's compile cache is on: with it a verb takes a third of the time.
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

enableCompileCache(join(import.meta.dirname, '../../build/test/compile-cache'));
const { runTskata } = await import('../../src/cli/tskata.ts');
const { findInstallation } = await import('../../src/runtime/installation.ts');

const installation = { ...findInstallation(), sandboxProgram: join(import.meta.dirname, 'agent-sandbox.ts') };
process.exitCode = await runTskata(process.argv.slice(2), installation);
