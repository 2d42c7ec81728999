// Builds containerd's shim on the engine of the guest agent. Run directly: `node shim/build.ts`.
import { statSync } from 'node:fs';
import { buildEngineProgram } from '../guest-agent/build.ts';

/** Builds the shim unless the same has been built before. @returns its path, beside the programs of the host */
export async function buildShim(): Promise<string> {
  return await buildEngineProgram('shim', 'shim/src/main.ts', 'bin/containerd-shim-tskata-v2');
}

if (import.meta.main) {
  const path = await buildShim();
  process.stdout.write(`${path}: ${statSync(path).size} bytes\n`);
}
