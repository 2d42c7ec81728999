// `tskata` without a virtual machine, built as the product is: tests call it by the thousand.
import { join } from 'node:path';
import { bundlePrograms } from '../../scripts/lib/bundles.ts';
import { buildDirectory, pinnedNode } from '../../scripts/lib/paths.ts';

/** Two levels below the project, as sources are: from there the programs find the other parts. */
const FOLDER = join(buildDirectory, 'on-agent');

/** The runtime under test. */
export const ON_AGENT = { name: 'tskata', command: [pinnedNode, join(FOLDER, 'tskata-on-agent.js')] };

/** Builds the programs into build/on-agent. */
export async function buildOnAgent(): Promise<void> {
  await bundlePrograms(FOLDER, import.meta.dirname, ['tskata-on-agent', 'agent-sandbox']);
}
