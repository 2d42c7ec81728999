// The conformance suite on the guest's agent, without a VM. test/guest has it in one, and on runc for comparison.
import { beforeAll } from 'vitest';
import { startAgentOnMachine } from '../conformance/agent-on-machine.ts';
import { describeSuite } from '../conformance/describe-suite.ts';
import { buildProbe } from '../conformance/probe.ts';

beforeAll(buildProbe);
describeSuite('the agent on this machine', startAgentOnMachine);
