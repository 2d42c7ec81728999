// The conformance suite on the guest's agent, without a VM. test/guest has it in one, and on runc for comparison.
import { beforeAll, test } from 'vitest';
import { startAgentOnMachine } from '../conformance/agent-on-machine.ts';
import { describeSuite } from '../conformance/describe-suite.ts';
import { differencesTable } from '../conformance/differences.ts';
import { buildProbe } from '../conformance/probe.ts';
import { expectTableInPage } from '../support/page-table.ts';

beforeAll(buildProbe);
describeSuite('the agent on this machine', startAgentOnMachine);

test('docs/conformance.md has every difference', async () => {
  await expectTableInPage('docs/conformance.md', 'differences', differencesTable());
});
