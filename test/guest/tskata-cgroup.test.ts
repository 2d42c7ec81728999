// Control groups of the host with real VMs, beside runc where the host has it: a tree of version 2.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';
import { describeCgroups } from '../oci/cgroup-cases.ts';
import { describeTskataCgroups } from '../oci/tskata-cgroup-cases.ts';

const RUNC = ['/usr/sbin/runc', '/usr/bin/runc'].find((path) => existsSync(path));
const tskata = { name: 'tskata', command: [join(import.meta.dirname, '../../build/bin/tskata')] };

describe.skipIf(RUNC === undefined)('for comparison', () => {
  describeCgroups({ name: 'runc', command: [String(RUNC)] });
});
describeCgroups(tskata);
describeTskataCgroups(tskata);
