// The calls of agent.proto that are about the guest's network.
import type { AgentMethods } from '../../../src/protocol/agent-service.ts';
import type { Handlers } from '../../../src/protocol/service.ts';
import type { EventLoop } from '../event-loop.ts';
import { configureNetwork } from './configure.ts';
import { describeNetwork } from './describe.ts';
import { planNetwork } from './plan.ts';
import { writeResolverFiles } from './resolver-files.ts';

type Calls = 'ConfigureNetwork' | 'NetworkDetails';

export function networkHandlers(loop: EventLoop): Pick<Handlers<AgentMethods>, Calls> {
  return {
    ConfigureNetwork: async (request) => {
      const changes = await configureNetwork(planNetwork(request), loop);
      writeResolverFiles(request);
      return { changes };
    },
    NetworkDetails: async () => describeNetwork(),
  };
}
