// Processors and memory that the VM got after the guest started.
import type { OnlineResourcesRequest, OnlineResourcesResponse } from '../../src/protocol/agent.gen.ts';
import { StatusError } from '../../src/protocol/status.ts';

export function onlineResources(_request: OnlineResourcesRequest): OnlineResourcesResponse {
  throw new StatusError('UNIMPLEMENTED', 'to come');
}
