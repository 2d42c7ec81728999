// The service `Agent` of agent.proto.
import * as agent from './agent.gen.ts';
import { method, type Service, serverStream } from './service.ts';

/** Version of the protocol: within one major version fields and methods are only added. */
export const PROTOCOL_MAJOR = 1;
export const PROTOCOL_MINOR = 2;
/** vsock port on which the host awaits the agent's connection, and on which the agent listens as well. */
export const AGENT_RPC_PORT = 1024;
/** vsock port of the agent for standard streams: see `StdioRequest`. */
export const AGENT_STDIO_PORT = 1025;
/** vsock port of the agent for connections to the guest's loopback: see agent.proto. */
export const AGENT_LOOPBACK_PORT = 1026;
/** What the host puts into the guest is below this folder. */
export const GUEST_DIRECTORY = '/run/tskata';
/** Where the agent mounts the file system that the host shares. */
export const SHARED_DIRECTORY = `${GUEST_DIRECTORY}/shared`;

const methods = {
  Handshake: method(agent.HandshakeRequest, agent.HandshakeResponse),
  CreateContainer: method(agent.CreateContainerRequest, agent.CreateContainerResponse),
  StartContainer: method(agent.StartContainerRequest, agent.Empty),
  DeleteContainer: method(agent.DeleteContainerRequest, agent.Empty),
  ExecProcess: method(agent.ExecProcessRequest, agent.ExecProcessResponse),
  SignalProcess: method(agent.SignalProcessRequest, agent.Empty),
  WaitProcess: method(agent.WaitProcessRequest, agent.WaitProcessResponse),
  ResizeTerminal: method(agent.ResizeTerminalRequest, agent.Empty),
  CloseStdin: method(agent.CloseStdinRequest, agent.Empty),
  HoldStreams: method(agent.ContainerRequest, agent.Empty),
  ReleaseStreams: method(agent.ContainerRequest, agent.Empty),
  AdoptContainer: method(agent.AdoptContainerRequest, agent.AdoptContainerResponse),
  PauseContainer: method(agent.ContainerRequest, agent.Empty),
  ResumeContainer: method(agent.ContainerRequest, agent.Empty),
  UpdateContainer: method(agent.UpdateContainerRequest, agent.UpdateContainerResponse),
  ContainerStats: method(agent.ContainerRequest, agent.ContainerStatsResponse),
  ListProcesses: method(agent.ContainerRequest, agent.ListProcessesResponse),
  Events: serverStream(agent.EventsRequest, agent.Event),
  MountFilesystem: method(agent.MountFilesystemRequest, agent.Empty),
  UnmountFilesystem: method(agent.UnmountFilesystemRequest, agent.Empty),
  CopyFile: method(agent.CopyFileRequest, agent.Empty),
  ConfigureNetwork: method(agent.ConfigureNetworkRequest, agent.ConfigureNetworkResponse),
  NetworkDetails: method(agent.Empty, agent.NetworkDetailsResponse),
  ServeResolver: serverStream(agent.Empty, agent.ResolverQuery),
  AnswerQuery: method(agent.AnswerQueryRequest, agent.Empty),
  SetTime: method(agent.SetTimeRequest, agent.Empty),
  AddEntropy: method(agent.AddEntropyRequest, agent.Empty),
  OnlineResources: method(agent.OnlineResourcesRequest, agent.OnlineResourcesResponse),
  GuestDetails: method(agent.Empty, agent.GuestDetailsResponse),
  Shutdown: method(agent.Empty, agent.Empty),
} as const;

export type AgentMethods = typeof methods;
export const agentService: Service<AgentMethods> = { name: 'tskata.agent.v1.Agent', methods };
