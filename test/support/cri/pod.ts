// A pod and its containers, as kubelet makes and ends them.

import { type Channels, openChannels } from './channels.ts';
import type { CriClient } from './client.ts';
import * as cri from './cri.gen.ts';

/** What is different from one container to another. */
type ContainerSettings = Partial<cri.ContainerConfig>;

/** The sum of its containers' limits, as kubelet reckons; more than a machine has without limits. */
export const POD_MEMORY_MIB = 640;

export interface ExecResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Pod {
  readonly id: string;
  readonly #cri: CriClient;
  readonly #config: cri.PodSandboxConfig;

  private constructor(client: CriClient, id: string, config: cri.PodSandboxConfig) {
    this.#cri = client;
    this.id = id;
    this.#config = config;
  }

  /** @param handler the runtime's, as a RuntimeClass names it. @param logDirectory of its containers */
  static async run(client: CriClient, handler: string, logDirectory: string): Promise<Pod> {
    const config = cri.PodSandboxConfig.fromPartial({
      metadata: { name: handler, uid: `uid-${handler}`, namespace: 'default' },
      hostname: `${handler}-pod`,
      logDirectory,
      dnsConfig: { servers: ['10.96.0.10'], searches: ['default.svc.cluster.local'] },
      linux: {
        cgroupParent: `/kubepods/${handler}`,
        resources: { memoryLimitInBytes: BigInt(POD_MEMORY_MIB << 20) },
        // What kubelet asks for: a pid namespace for each container.
        securityContext: { namespaceOptions: { pid: cri.NamespaceMode.CONTAINER } },
      },
    });
    const { podSandboxId } = await client.call((calls) => calls.runPodSandbox, { config, runtimeHandler: handler });
    return new Pod(client, podSandboxId, config);
  }

  async status(): Promise<cri.PodSandboxStatus | undefined> {
    return (await this.#cri.call((calls) => calls.podSandboxStatus, { podSandboxId: this.id })).status;
  }

  /** Creates and starts a container. @returns its id */
  async start(name: string, image: string, script: string, settings: ContainerSettings = {}): Promise<string> {
    const config = cri.ContainerConfig.fromPartial({
      metadata: { name },
      image: { image },
      command: ['sh', '-c', script],
      logPath: `${name}.log`,
      linux: { securityContext: { namespaceOptions: { pid: cri.NamespaceMode.CONTAINER } } },
      ...settings,
    });
    const request = { podSandboxId: this.id, config, sandboxConfig: this.#config };
    const { containerId } = await this.#cri.call((calls) => calls.createContainer, request);
    await this.#cri.call((calls) => calls.startContainer, { containerId });
    return containerId;
  }

  async exec(containerId: string, script: string, timeoutS = 0): Promise<ExecResult> {
    const request = { containerId, cmd: ['sh', '-c', script], timeout: BigInt(timeoutS) };
    const { exitCode, stdout, stderr } = await this.#cri.call((calls) => calls.execSync, request);
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
    return { status: exitCode, stdout: text(stdout), stderr: text(stderr) };
  }

  /** Runs a command whose streams are channels of a connection. */
  async execChannels(containerId: string, script: string, tty = false): Promise<Channels> {
    const request = { containerId, cmd: ['sh', '-c', script], tty, stdin: true, stdout: true, stderr: !tty };
    return await openChannels((await this.#cri.call((calls) => calls.exec, request)).url);
  }

  async attach(containerId: string): Promise<Channels> {
    const request = { containerId, tty: false, stdin: true, stdout: true, stderr: true };
    return await openChannels((await this.#cri.call((calls) => calls.attach, request)).url);
  }

  async forward(port: number): Promise<Channels> {
    const request = { podSandboxId: this.id, port: [port] };
    return await openChannels((await this.#cri.call((calls) => calls.portForward, request)).url);
  }

  async containerStatus(containerId: string): Promise<cri.ContainerStatus | undefined> {
    return (await this.#cri.call((calls) => calls.containerStatus, { containerId })).status;
  }

  async containerStats(): Promise<cri.ContainerStats[]> {
    const request = { filter: { id: '', podSandboxId: this.id } };
    return (await this.#cri.call((calls) => calls.listContainerStats, request)).stats;
  }

  async stats(): Promise<cri.LinuxPodSandboxStats | undefined> {
    return (await this.#cri.call((calls) => calls.podSandboxStats, { podSandboxId: this.id })).stats?.linux;
  }

  async update(containerId: string, resources: Partial<cri.LinuxContainerResources>): Promise<void> {
    const linux = cri.LinuxContainerResources.fromPartial(resources);
    await this.#cri.call((calls) => calls.updateContainerResources, { containerId, linux });
  }

  async stop(containerId: string, graceS: number): Promise<void> {
    await this.#cri.call((calls) => calls.stopContainer, { containerId, timeout: BigInt(graceS) });
  }

  async remove(containerId: string): Promise<void> {
    await this.#cri.call((calls) => calls.removeContainer, { containerId });
  }

  /** Ends it with all its containers, and leaves nothing. */
  async end(): Promise<void> {
    await this.#cri.call((calls) => calls.stopPodSandbox, { podSandboxId: this.id });
    await this.#cri.call((calls) => calls.removePodSandbox, { podSandboxId: this.id });
  }
}
