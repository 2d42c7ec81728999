// `tskata update`: changes limits of a container.
import { readFileSync } from 'node:fs';
import { messageOf } from '../lib/errors.ts';
import { ConfigError } from '../oci/check.ts';
import { resourcesOfFlags, type UpdateFlags } from '../oci/update-flags.ts';
import type { Resources } from '../oci/update-merge.ts';
import { resources as checkResources } from '../oci/validate-resources.ts';
import { RuntimeError } from '../runtime/runtime-error.ts';
import { StateStore } from '../runtime/state-store.ts';
import { updateContainer } from '../runtime/update.ts';
import type { GlobalOptions } from './tskata.ts';

export interface UpdateVerbFlags extends UpdateFlags {
  /** A file, or "-" for standard input. */
  readonly resources?: string;
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
  readonly kernelMemory?: string;
  readonly kernelMemoryTcp?: string;
}

const STDIN = 0;

export async function update(globals: GlobalOptions, flags: UpdateVerbFlags, id: string): Promise<void> {
  const store = new StateStore(globals.root);
  store.read(id);
  const change = flags.resources ? readResources(flags.resources) : resourcesOfFlags(flags);
  // runc's words on a host without the two, which no guest has.
  if (flags.l3CacheSchema) throw unsupported('Intel RDT/CAT: l3 cache schema is not enabled');
  if (flags.memBwSchema) throw unsupported('Intel RDT/MBA: memory bandwidth schema is not enabled');
  for (const flag of ['kernelMemory', 'kernelMemoryTcp'] as const) {
    if (!flags[flag] || flags.resources) continue;
    const name = flag === 'kernelMemory' ? 'kernel-memory' : 'kernel-memory-tcp';
    await globals.warn(`Setting --${name} is ignored and will be removed`);
  }
  await updateContainer(store, globals, id, change, globals.warn);
}

function unsupported(message: string): RuntimeError {
  return new RuntimeError('UNSUPPORTED', message);
}

/** @throws RuntimeError INVALID_UPDATE, which says where it was read and what is wrong there */
function readResources(source: string): Resources {
  const name = source === '-' ? 'standard input' : source;
  const invalid = (what: string, cause: unknown): RuntimeError =>
    new RuntimeError('INVALID_UPDATE', `${what}: ${messageOf(cause)}`, { source: name }, { cause });
  let text: string;
  try {
    text = readFileSync(source === '-' ? STDIN : source, 'utf8');
  } catch (cause) {
    throw invalid(`cannot read the resources from ${name}`, cause);
  }
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (cause) {
    const what = text.trim() === '' ? 'is empty' : 'is not JSON';
    throw invalid(`${name} ${what}; expected is an object linux.resources, such as {"pids": {"limit": 100}}`, cause);
  }
  try {
    checkResources(found, 'linux.resources');
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new RuntimeError('INVALID_UPDATE', cause.message.replace('in config.json', `in ${name}`), { source: name });
  }
  return found as Resources;
}
