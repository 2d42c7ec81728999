// The calls of agent.proto that are about the guest's network.
import type { AgentMethods } from '../../../src/protocol/agent-service.ts';
import type { Handlers } from '../../../src/protocol/service.ts';
import { StatusError } from '../../../src/protocol/status.ts';

type Calls = 'ConfigureNetwork' | 'NetworkDetails';

export function networkHandlers(): Pick<Handlers<AgentMethods>, Calls> {
  const missing = async (): Promise<never> => {
    throw new StatusError('UNIMPLEMENTED', 'to come');
  };
  return { ConfigureNetwork: missing, NetworkDetails: missing };
}
