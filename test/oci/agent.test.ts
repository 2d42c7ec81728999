// The cases against tskata with the guest's agent in namespaces of this machine: all of the runtime but the VMM.
import { join } from 'node:path';
import { describeRuntime } from './cases.ts';
import { describeEvents, describeTskataEvents } from './events-cases.ts';
import { describeFaults } from './fault-cases.ts';
import { describePs, describeTskataPs } from './ps-cases.ts';
import { describeTskata } from './tskata-cases.ts';
import { describeTskataUpdate, describeUpdate } from './update-cases.ts';
import { describeTskataVerbs, describeVerbs } from './verbs-cases.ts';

const program = join(import.meta.dirname, 'tskata-on-agent.ts');
const runtime = { name: 'tskata', command: [process.execPath, program] };
describeRuntime(runtime, { needsBuild: true });
describeTskata(runtime);
for (const describeVerb of [
  describeUpdate,
  describeTskataUpdate,
  describePs,
  describeTskataPs,
  describeEvents,
  describeTskataEvents,
  describeVerbs,
  describeTskataVerbs,
]) {
  describeVerb(runtime);
}
describeFaults(runtime);
