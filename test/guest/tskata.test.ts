// `tskata` with real VMs, beside runc where the host has it: the same cases, so that a difference is seen.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';
import { describeRuntime } from '../oci/cases.ts';
import { describeTskata } from '../oci/tskata-cases.ts';

const RUNC = ['/usr/sbin/runc', '/usr/bin/runc'].find((path) => existsSync(path));
const tskata = { name: 'tskata', command: [join(import.meta.dirname, '../../build/bin/tskata')] };

describe.skipIf(RUNC === undefined)('for comparison', () => {
  describeRuntime({ name: 'runc', command: [String(RUNC)] }, { needsBuild: false });
});
describeRuntime(tskata, { needsBuild: false });
describeTskata(tskata);
