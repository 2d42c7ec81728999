// Calls to the agent in the guest, each with its deadline.
import type { Event, ResolverQuery } from '../protocol/agent.gen.ts';
import { type AgentMethods, agentService, PROTOCOL_MAJOR, PROTOCOL_MINOR } from '../protocol/agent-service.ts';
import type { ByteStream } from '../protocol/byte-stream.ts';
import { TtrpcClient } from '../protocol/client.ts';
import type { RequestOf, ResponseOf, UnaryName } from '../protocol/service.ts';
import { StatusError } from '../protocol/status.ts';
import { nodeTimers } from './socket-stream.ts';

type MethodName = UnaryName<AgentMethods>;

/** Work on the guest's own memory: an agent that does not answer within this time is not going to, milliseconds. */
const QUICK_MS = 10_000;
/** Work of a container's creation, and work that reads or writes file systems, on a busy machine: milliseconds. */
const SLOW_MS = 60_000;

const DEADLINES_MS: Readonly<Record<Exclude<MethodName, 'WaitProcess'>, number>> = {
  Handshake: SLOW_MS,
  CreateContainer: SLOW_MS,
  StartContainer: SLOW_MS,
  DeleteContainer: SLOW_MS,
  ExecProcess: SLOW_MS,
  SignalProcess: QUICK_MS,
  ResizeTerminal: QUICK_MS,
  CloseStdin: QUICK_MS,
  HoldStreams: QUICK_MS,
  ReleaseStreams: QUICK_MS,
  AdoptContainer: QUICK_MS,
  PauseContainer: QUICK_MS,
  ResumeContainer: QUICK_MS,
  UpdateContainer: QUICK_MS,
  ContainerStats: QUICK_MS,
  ListProcesses: QUICK_MS,
  MountFilesystem: SLOW_MS,
  UnmountFilesystem: SLOW_MS,
  CopyFile: SLOW_MS,
  ConfigureNetwork: SLOW_MS,
  NetworkDetails: QUICK_MS,
  AnswerQuery: QUICK_MS,
  SetTime: SLOW_MS,
  AddEntropy: SLOW_MS,
  OnlineResources: SLOW_MS,
  GuestDetails: SLOW_MS,
  Shutdown: QUICK_MS,
};

export interface AgentDetails {
  readonly agentVersion: string;
  readonly kernelRelease: string;
  /** How long ago its first line ran, nanoseconds. */
  readonly agentAgeNs: bigint;
  /** Processor time from its start until it could answer, nanoseconds: of its own code, and of the kernel for it. */
  readonly agentUserNs: bigint;
  readonly agentSystemNs: bigint;
}

export interface HandshakeOptions {
  /** Wall clock for the guest, nanoseconds since the Unix epoch. */
  readonly realtimeNs: bigint;
  /** For the guest's random number generator. */
  readonly entropy: Uint8Array;
  /** The virtio-fs tag to mount. */
  readonly sharedTag: string;
}

export class AgentClient {
  readonly #client: TtrpcClient;
  /** Settles when the connection is gone; never rejects. */
  readonly closed: Promise<StatusError | undefined>;

  /** Takes over a connection to the agent. */
  constructor(stream: ByteStream) {
    this.#client = new TtrpcClient(stream, nodeTimers);
    this.closed = this.#client.closed;
  }

  /** @throws StatusError FAILED_PRECONDITION when the agent speaks another major version; whatever the call throws */
  async handshake(options: HandshakeOptions): Promise<AgentDetails> {
    const answer = await this.call('Handshake', {
      protocolMajor: PROTOCOL_MAJOR,
      protocolMinor: PROTOCOL_MINOR,
      realtimeNs: options.realtimeNs,
      entropy: options.entropy,
      sharedFilesystemTag: options.sharedTag,
    });
    if (answer.protocolMajor !== PROTOCOL_MAJOR) {
      throw new StatusError(
        'FAILED_PRECONDITION',
        `the guest's agent speaks version ${answer.protocolMajor} of the protocol, this sandbox ${PROTOCOL_MAJOR}: build both again`,
      );
    }
    return answer;
  }

  /** Calls a method under its deadline. @throws StatusError */
  call<Name extends keyof typeof DEADLINES_MS>(
    name: Name,
    request: RequestOf<AgentMethods[Name]>,
  ): Promise<ResponseOf<AgentMethods[Name]>> {
    return this.#client.call(agentService, name, request, { timeoutMs: DEADLINES_MS[name] });
  }

  /** Waits for the end of a process, however long that takes. @throws StatusError */
  wait(request: RequestOf<AgentMethods['WaitProcess']>): Promise<ResponseOf<AgentMethods['WaitProcess']>> {
    return this.#client.call(agentService, 'WaitProcess', request);
  }

  /** What happens from now on in a container, in all of them and to the guest where the id is empty. Ends with the connection. */
  events(containerId: string): AsyncIterable<Event> {
    return this.#client.stream(agentService, 'Events', { containerId });
  }

  /** What the guest asks the resolver of its network namespace; the first item says that it can. Ends with the connection. */
  resolverQueries(): AsyncIterableIterator<ResolverQuery, undefined> {
    return this.#client.stream(agentService, 'ServeResolver', {});
  }

  close(): void {
    this.#client.close();
  }
}
