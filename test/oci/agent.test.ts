// The cases against tskata with the guest's agent in namespaces of this machine: all of the runtime but the VMM.
import { join } from 'node:path';
import { describeRuntime } from './cases.ts';
import { describeFaults } from './fault-cases.ts';
import { describeTskata } from './tskata-cases.ts';

const program = join(import.meta.dirname, 'tskata-on-agent.ts');
const runtime = { name: 'tskata', command: [process.execPath, program] };
describeRuntime(runtime, { needsBuild: true });
describeTskata(runtime);
describeFaults(runtime);
