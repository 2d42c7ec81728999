// The calls of agent.proto that are about the guest's network.
import { describeNetwork } from '../../../src/netlink/describe.ts';
import { Rtnetlink } from '../../../src/netlink/rtnetlink.ts';
import type { AgentMethods } from '../../../src/protocol/agent-service.ts';
import type { Handlers } from '../../../src/protocol/service.ts';
import type { EventLoop } from '../event-loop.ts';
import { NetlinkSocket } from '../linux/netlink.ts';
import { configureNetwork } from './configure.ts';
import { HiddenCards } from './hidden-cards.ts';
import { planNetwork } from './plan.ts';
import { Resolver } from './resolver.ts';
import { writeResolverFiles } from './resolver-files.ts';

type Calls = 'ConfigureNetwork' | 'NetworkDetails' | 'ServeResolver' | 'AnswerQuery';

export function networkHandlers(loop: EventLoop): Pick<Handlers<AgentMethods>, Calls> {
  const cards = new HiddenCards();
  const resolver = new Resolver(loop);
  return {
    ConfigureNetwork: async (request) => {
      const changes = await configureNetwork(planNetwork(request), cards, loop);
      writeResolverFiles(request);
      return { changes };
    },
    NetworkDetails: async () => {
      const network = new Rtnetlink(new NetlinkSocket());
      try {
        return describeNetwork(network, { kernels: true });
      } finally {
        network.close();
      }
    },
    ServeResolver: () => resolver.queries(),
    AnswerQuery: async ({ id, message }) => {
      resolver.answer(id, message);
      return {};
    },
  };
}
