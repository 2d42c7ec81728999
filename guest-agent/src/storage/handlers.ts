// The calls of agent.proto that are about file systems and files of the guest.
import type { AgentMethods } from '../../../src/protocol/agent-service.ts';
import type { Handlers } from '../../../src/protocol/service.ts';
import type { EventLoop } from '../event-loop.ts';
import type { Helpers } from '../helpers.ts';
import { FileCopies } from './guest-files.ts';
import { GuestMounts } from './mounts.ts';

type Calls = 'MountFilesystem' | 'UnmountFilesystem' | 'CopyFile';

export function storageHandlers(loop: EventLoop, helpers: Helpers): Pick<Handlers<AgentMethods>, Calls> {
  const mounts = new GuestMounts(loop, helpers);
  const copies = new FileCopies();
  const nothing = {};
  return {
    MountFilesystem: async (request) => {
      await mounts.mount(request);
      return nothing;
    },
    UnmountFilesystem: async ({ path }) => {
      copies.giveUpBelow(path);
      await mounts.unmount(path);
      return nothing;
    },
    CopyFile: async (request) => {
      copies.copy(request);
      return nothing;
    },
  };
}
