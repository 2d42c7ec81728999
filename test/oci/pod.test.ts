// Namespaces on the host and pods, with the guest's agent in namespaces of this machine in the place of virtual machines.
import { join } from 'node:path';
import { describeNamespaces } from './namespace-cases.ts';
import { describePodFailures, describePods } from './pod-cases.ts';

const program = join(import.meta.dirname, 'tskata-on-agent.ts');
const runtime = { name: 'tskata', command: [process.execPath, program] };
describeNamespaces(runtime);
describePods(runtime);
describePodFailures(runtime);
