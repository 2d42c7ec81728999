// The service `Sandbox` of sandbox.proto.
import * as sandbox from './sandbox.gen.ts';
import { method, type Service } from './service.ts';

const methods = {
  CreateContainer: method(sandbox.CreateContainerRequest, sandbox.CreateContainerResponse),
  StartContainer: method(sandbox.ContainerRequest, sandbox.Empty),
  SignalContainer: method(sandbox.SignalContainerRequest, sandbox.Empty),
  DeleteContainer: method(sandbox.DeleteContainerRequest, sandbox.Empty),
  ExecProcess: method(sandbox.ExecProcessRequest, sandbox.ExecProcessResponse),
  Checkpoint: method(sandbox.CheckpointRequest, sandbox.Empty),
  RestoreContainer: method(sandbox.RestoreContainerRequest, sandbox.CreateContainerResponse),
  ListProxies: method(sandbox.ContainerRequest, sandbox.ListProxiesResponse),
  Resize: method(sandbox.ResizeRequest, sandbox.ResizeResponse),
  Timeline: method(sandbox.Empty, sandbox.TimelineResponse),
  Shutdown: method(sandbox.Empty, sandbox.Empty),
} as const;

export type SandboxMethods = typeof methods;
export const sandboxService: Service<SandboxMethods> = { name: 'tskata.sandbox.v1.Sandbox', methods };
