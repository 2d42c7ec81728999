// Runs the suite's containers by the guest's agent: as a process of this machine, or in a virtual machine.
import type { Socket } from 'node:net';
import type { AgentClient } from '../../src/agent-client/agent-client.ts';
import { ConfigError } from '../../src/oci/check.ts';
import { takeSeccomp } from '../../src/oci/guest-config.ts';
import { validateConfig } from '../../src/oci/validate.ts';
import type { StdioRequest } from '../../src/protocol/agent.gen.ts';
import { StatusError } from '../../src/protocol/status.ts';
import { collect, newToken } from '../agent/harness.ts';
import type { ContainerConfig } from './config.ts';
import type { Ended, Engine, Running, World } from './engine.ts';
import { makePlace, type Place } from './place.ts';

/** How to reach an agent, wherever it is. */
export interface AgentDoor extends AsyncDisposable {
  readonly worlds: readonly World[];
  readonly controllers: readonly string[];
  readonly tries: number;
  /** A folder that both sides can reach. */
  readonly shared: { readonly outside: string; readonly inside: string };
  readonly call: AgentClient['call'];
  readonly wait: AgentClient['wait'];
  /** Opens one standard stream of a process. */
  stream(stdio: StdioRequest, name: string): Promise<Socket>;
}

/** The window of a terminal. */
const [ROWS, COLUMNS] = [24, 80];

export class AgentEngine implements Engine {
  readonly name: string;
  readonly worlds: readonly World[];
  readonly controllers: readonly string[];
  readonly tries: number;
  readonly #door: AgentDoor;
  #names = 0;

  constructor(name: string, door: AgentDoor) {
    this.name = name;
    this.#door = door;
    this.worlds = door.worlds;
    this.controllers = door.controllers;
    this.tries = door.tries;
  }

  place(): Place {
    return makePlace(this.#door.shared.outside, this.#door.shared.inside);
  }

  async run(place: Place, config: ContainerConfig, input = ''): Promise<Ended> {
    try {
      const running = await this.#start(place, config, input);
      const ended = await running.ended;
      await running.remove();
      return ended;
    } catch (error) {
      return refusal(error);
    }
  }

  start(place: Place, config: ContainerConfig): Promise<Running> {
    return this.#start(place, config, '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#door[Symbol.asyncDispose]();
  }

  async #start(place: Place, config: ContainerConfig, input: string): Promise<Running> {
    const door = this.#door;
    const containerId = this.#name();
    const stdio = stdioFor(config.process);
    // As the host does with every config.json, before a guest sees it.
    const plan = takeSeccomp(validateConfig(config));
    const { pid } = await door.call('CreateContainer', {
      containerId,
      ociConfigJson: JSON.stringify(plan.config),
      rootfsPath: place.inside.rootfs,
      stdio,
      seccomp: plan.seccomp,
      bundle: place.folder,
    });
    const remove = async (): Promise<void> => void (await door.call('DeleteContainer', { containerId, force: true }));
    try {
      const output = await this.#open(stdio, input);
      await door.call('StartContainer', { containerId });
      const ended = this.#wait(containerId, '', output);
      ended.catch(() => {}); // Who removes it does not ask.
      return {
        pid,
        exec: (process) => this.#exec(containerId, process),
        kill: async (signal) =>
          void (await door.call('SignalProcess', { containerId, processId: '', signal, all: false })),
        ended,
        remove,
      };
    } catch (error) {
      await remove();
      throw error;
    }
  }

  async #exec(containerId: string, process: object): Promise<Ended> {
    const processId = this.#name();
    const stdio = stdioFor(process);
    try {
      await this.#door.call('ExecProcess', {
        containerId,
        processId,
        ociProcessJson: JSON.stringify(process),
        stdio,
        ignorePaused: false,
      });
    } catch (error) {
      return refusal(error);
    }
    return await this.#wait(containerId, processId, await this.#open(stdio, ''));
  }

  /** Opens the streams of a process. @returns what it prints, once that is all */
  async #open(stdio: StdioRequest, input: string): Promise<Promise<string>[]> {
    const names = stdio.terminal ? ['terminal'] : ['stdin', 'stdout', 'stderr'];
    const sockets = await Promise.all(names.map((name) => this.#door.stream(stdio, name)));
    if (!stdio.terminal)
      sockets
        .shift()
        ?.on('error', () => {})
        .end(input);
    return sockets.map(async (socket) => (await collect(socket)).toString());
  }

  async #wait(containerId: string, processId: string, output: readonly Promise<string>[]): Promise<Ended> {
    const { exitStatus, signal } = await this.#door.wait({ containerId, processId });
    const [stdout = '', stderr = ''] = await Promise.all(output);
    return { status: signal === 0 ? exitStatus : 128 + signal, stdout, stderr };
  }

  #name(): string {
    this.#names += 1;
    return `conformance-${process.pid}-${this.#names}`;
  }
}

function stdioFor(process: { readonly terminal?: unknown; readonly args?: unknown }): StdioRequest {
  const terminal = process.terminal === true;
  const streams = { stdin: !terminal, stdout: !terminal, stderr: !terminal };
  return { token: newToken(), ...streams, terminal, terminalRows: ROWS, terminalColumns: COLUMNS };
}

function refusal(error: unknown): Ended {
  if (!(error instanceof StatusError || error instanceof ConfigError)) throw error;
  return { status: 1, stdout: '', stderr: error.message };
}
