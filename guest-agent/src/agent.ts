// The service Agent of agent.proto, made of the parts that do the work.

import { type AgentMethods, PROTOCOL_MAJOR, PROTOCOL_MINOR } from '../../src/protocol/agent-service.ts';
import type { Handlers } from '../../src/protocol/service.ts';
import { StatusError } from '../../src/protocol/status.ts';
import { containerHandlers } from './container/handlers.ts';
import type { ContainerManager } from './container/manager.ts';
import { guestDetails } from './details.ts';
import type { EventLoop } from './event-loop.ts';
import type { GuestPort } from './guest-port.ts';
import type { Helpers } from './helpers.ts';
import * as abi from './linux/abi.gen.ts';
import { kernelRelease, readClock } from './linux/machine.ts';
import { networkHandlers } from './network/handlers.ts';
import { onlineResources } from './online-resources.ts';
import { storageHandlers } from './storage/handlers.ts';

/** Version of this agent, as the host's log shows it. */
export const AGENT_VERSION = '0.1.0';

/** The agent's start: moments in nanoseconds of CLOCK_BOOTTIME, and the processor time it took until it was ready. */
export interface StartTimes {
  readonly enteredNs: bigint;
  readonly readyNs: bigint;
  readonly userNs: bigint;
  readonly systemNs: bigint;
}

/** The handlers of the service. @param guest what belongs to a real guest and not to a test on any Linux */
export function agentHandlers(
  guest: GuestPort,
  containers: ContainerManager,
  times: StartTimes,
  loop: EventLoop,
  helpers: Helpers,
): Handlers<AgentMethods> {
  const nothing = {};
  return {
    Handshake: async (request) => {
      if (request.protocolMajor !== PROTOCOL_MAJOR) {
        const ours = `${PROTOCOL_MAJOR}.${PROTOCOL_MINOR}`;
        const message = `this agent speaks protocol ${ours}, the host ${request.protocolMajor}.${request.protocolMinor}: build both from one version`;
        throw new StatusError('FAILED_PRECONDITION', message);
      }
      if (request.realtimeNs !== 0n) guest.setClock(request.realtimeNs);
      if (request.entropy.length > 0) guest.addEntropy(request.entropy);
      if (request.sharedFilesystemTag !== '') guest.mountShared(request.sharedFilesystemTag);
      return {
        protocolMajor: PROTOCOL_MAJOR,
        protocolMinor: PROTOCOL_MINOR,
        agentVersion: AGENT_VERSION,
        kernelRelease: kernelRelease(),
        agentAgeNs: readClock(abi.CLOCK_BOOTTIME) - times.enteredNs,
        agentUserNs: times.userNs,
        agentSystemNs: times.systemNs,
      };
    },
    ...containerHandlers(containers),
    ...storageHandlers(loop, helpers),
    ...networkHandlers(loop),
    SetTime: async ({ realtimeNs }) => {
      guest.setClock(realtimeNs);
      return nothing;
    },
    AddEntropy: async ({ entropy }) => {
      guest.addEntropy(entropy);
      return nothing;
    },
    OnlineResources: async (request) => onlineResources(request),
    GuestDetails: async () => guestDetails(times),
    Shutdown: async () => {
      guest.shutDown();
      return nothing;
    },
  };
}
