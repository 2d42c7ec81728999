// The conformance suite on the guest's agent, without a VM. test/guest has it in one, and on runc for comparison.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { startAgentOnMachine } from '../conformance/agent-on-machine.ts';
import { describeSuite } from '../conformance/describe-suite.ts';
import { differencesTable } from '../conformance/differences.ts';
import { buildProbe } from '../conformance/probe.ts';

beforeAll(buildProbe);
describeSuite('the agent on this machine', startAgentOnMachine);

test('docs/conformance.md has every difference', async () => {
  const page = join(import.meta.dirname, '../../docs/conformance.md');
  const text = readFileSync(page, 'utf8');
  const [begin, end] = ['<!-- differences -->\n', '\n<!-- end of differences -->'];
  const [before = '', rest = ''] = text.split(begin);
  const [, after = ''] = rest.split(end);

  // `vitest run -u` writes the table anew.
  await expect(`${before}${begin}${differencesTable()}${end}${after}`).toMatchFileSnapshot(page);
});
