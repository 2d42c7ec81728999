// The calls of agent.proto that are about containers and their processes.
import type { AgentMethods } from '../../../src/protocol/agent-service.ts';
import type { Handlers } from '../../../src/protocol/service.ts';
import type { ContainerManager } from './manager.ts';

type ContainerCalls =
  | `${'Create' | 'Start' | 'Delete' | 'Pause' | 'Resume' | 'Update'}Container`
  | `${'Exec' | 'Signal' | 'Wait'}Process`
  | 'ResizeTerminal'
  | 'CloseStdin'
  | `${'Hold' | 'Release'}Streams`
  | 'AdoptContainer'
  | 'ContainerStats'
  | 'ListProcesses'
  | 'Events';

export function containerHandlers(containers: ContainerManager): Pick<Handlers<AgentMethods>, ContainerCalls> {
  const nothing = {};
  return {
    CreateContainer: (request) => containers.create(request),
    StartContainer: async (request) => {
      await containers.start(request.containerId);
      return nothing;
    },
    DeleteContainer: async (request) => {
      await containers.delete(request.containerId, request.force);
      return nothing;
    },
    ExecProcess: (request) => containers.exec(request),
    SignalProcess: async (request) => {
      containers.signal(request);
      return nothing;
    },
    // No async function: thousands may wait, and each would cost more than a KiB.
    WaitProcess: ({ containerId, processId }, caller) => containers.wait(containerId, processId, caller),
    ResizeTerminal: async (request) => {
      containers.resize(request);
      return nothing;
    },
    CloseStdin: async ({ containerId, processId }) => {
      containers.find(containerId).closeStdin(processId);
      return nothing;
    },
    HoldStreams: async ({ containerId }) => {
      await containers.find(containerId).holdStreams();
      return nothing;
    },
    ReleaseStreams: async ({ containerId }) => {
      containers.find(containerId).releaseStreams();
      return nothing;
    },
    AdoptContainer: async ({ containerId, newContainerId }) => ({ pid: containers.adopt(containerId, newContainerId) }),
    PauseContainer: async ({ containerId }) => {
      await containers.find(containerId).pause();
      return nothing;
    },
    ResumeContainer: async ({ containerId }) => {
      containers.find(containerId).resume();
      return nothing;
    },
    UpdateContainer: async (request) => containers.find(request.containerId).update(request.ociResourcesJson),
    ContainerStats: async ({ containerId }) => containers.find(containerId).stats(),
    Events: ({ containerId }) => containers.subscribe(containerId),
    ListProcesses: async ({ containerId }) => containers.find(containerId).processes(),
  };
}
