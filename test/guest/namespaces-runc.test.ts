// Where a container is on the host, as runc has it: the reference for test/oci/pod.test.ts, which has the same cases for tskata.
import { existsSync } from 'node:fs';
import { describe } from 'vitest';
import { describeNamespaces } from '../oci/namespace-cases.ts';

const RUNC = ['/usr/sbin/runc', '/usr/bin/runc'].find((path) => existsSync(path));

describe.skipIf(RUNC === undefined)('for comparison', () => {
  describeNamespaces({ name: 'runc', command: [String(RUNC)] });
});
