// Control groups of the host with real VMs: a tree of version 2. peers.test.ts has the common ones for runc.
import { join } from 'node:path';
import { describeCgroups } from '../oci/cgroup-cases.ts';
import { describeTskataCgroups } from '../oci/tskata-cgroup-cases.ts';

const tskata = { name: 'tskata', command: [join(import.meta.dirname, '../../build/bin/tskata')] };

describeCgroups(tskata);
describeTskataCgroups(tskata);
