// `tskata` with real VMs: what any runtime with runc's commands does (peers.test.ts has the same cases for runc), and what is
// particular to it. What a VM has no part in is in test/oci/agent.test.ts.
import { join } from 'node:path';
import { describeRuntime } from '../oci/cases.ts';
import { describeCases } from '../oci/describe-cases.ts';
import { describeStatistics } from '../oci/events-cases.ts';
import { describePs } from '../oci/ps-cases.ts';
import { describeTskata } from '../oci/tskata-cases.ts';
import { describeLimits } from '../oci/update-cases.ts';

const tskata = { name: 'tskata', command: [join(import.meta.dirname, '../../build/bin/tskata')] };

describeCases(tskata, [describeRuntime, describeLimits, describePs, describeStatistics]);
describeTskata(tskata);
