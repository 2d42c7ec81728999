// The calls of agent.proto that are about file systems and files of the guest.
import type { AgentMethods } from '../../../src/protocol/agent-service.ts';
import type { Handlers } from '../../../src/protocol/service.ts';
import { StatusError } from '../../../src/protocol/status.ts';

type Calls = 'MountFilesystem' | 'UnmountFilesystem' | 'CopyFile';

export function storageHandlers(): Pick<Handlers<AgentMethods>, Calls> {
  const missing = async (): Promise<never> => {
    throw new StatusError('UNIMPLEMENTED', 'to come');
  };
  return { MountFilesystem: missing, UnmountFilesystem: missing, CopyFile: missing };
}
