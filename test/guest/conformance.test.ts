// The conformance suite where the machine is real: runc, which shows that the cases are right, then the agent in a VM, and a few of
// the cases by the command. RUNTIME=runc, crun, agent or tskata asks for one of them alone.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';
import { startAgentInVm } from '../conformance/agent-in-vm.ts';
import { describeSuite } from '../conformance/describe-suite.ts';
import { OciEngine } from '../conformance/oci-engine.ts';
import { SealedRunc } from '../conformance/sealed-runc.ts';

/** A tmpfs. */
const PARENT = '/run';
/** crun is asked for by name only: it knows what runc before 1.2 does not, and is no reference for the rest. */
const USUAL = ['runc', 'agent', 'tskata'];

const wanted = (name: string): boolean => [process.env['RUNTIME'] ?? USUAL].flat().includes(name);
const whereIs = (name: string): string | undefined =>
  ['/usr/sbin', '/usr/bin'].map((folder) => join(folder, name)).find((path) => existsSync(path));

function startRunc(program: string): OciEngine {
  const owned = new SealedRunc(program, PARENT);
  return new OciEngine({ name: 'runc', command: [owned.program], parent: PARENT, owned });
}

function startCrun(program: string): OciEngine {
  return new OciEngine({ name: 'crun', command: [program], parent: PARENT });
}

for (const [name, start] of Object.entries({ runc: startRunc, crun: startCrun })) {
  const program = whereIs(name);
  describe.skipIf(program === undefined || !wanted(name))('for comparison', () => {
    describeSuite(name, async () => start(String(program)));
  });
}

describe.runIf(wanted('agent'))('one boot', () => {
  describeSuite('the agent in a VM', startAgentInVm);
});

describe.runIf(wanted('tskata'))('a boot for each', () => {
  const command = [join(import.meta.dirname, '../../build/bin/tskata')];
  describeSuite(
    'tskata',
    async () => new OciEngine({ name: 'tskata', command, parent: PARENT }),
    (one) => one.endToEnd === true,
  );
});
