// Pods in real VMs; and where a container is on the host, beside runc where that is there.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';
import { describeNamespaces } from '../oci/namespace-cases.ts';
import { describePods } from '../oci/pod-cases.ts';

const RUNC = ['/usr/sbin/runc', '/usr/bin/runc'].find((path) => existsSync(path));
const tskata = { name: 'tskata', command: [join(import.meta.dirname, '../../build/bin/tskata')] };

describe.skipIf(RUNC === undefined)('for comparison', () => {
  describeNamespaces({ name: 'runc', command: [String(RUNC)] });
});
describePods(tskata);
