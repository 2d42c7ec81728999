// All cases by concern.
import type { Case } from '../case.ts';
import { escapeCases } from './escapes.ts';
import { execCases } from './exec.ts';
import { hookCases } from './hooks.ts';
import { lifeCases } from './life.ts';
import { mountCases } from './mounts.ts';
import { namespaceCases } from './namespaces.ts';
import { privilegeCases } from './privileges.ts';
import { processCases } from './process.ts';
import { profileCases } from './profiles.ts';
import { protectionCases } from './protection.ts';
import { resourceCases } from './resources.ts';
import { seccompCases } from './seccomp.ts';
import { terminalCases } from './terminal.ts';

export const suite: Readonly<Record<string, readonly Case[]>> = {
  process: processCases,
  privileges: privilegeCases,
  terminal: terminalCases,
  namespaces: namespaceCases,
  'file systems': mountCases,
  protection: protectionCases,
  'system call filter': seccompCases,
  'profiles of engines': profileCases,
  resources: resourceCases,
  hooks: hookCases,
  exec: execCases,
  life: lifeCases,
  escapes: escapeCases,
};
