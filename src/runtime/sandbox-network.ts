// The network of a sandbox: what the container's network namespace on the host has, the guest has.
import type { AgentClient } from '../agent-client/agent-client.ts';
import { ContainerNetwork, type NetworkCard } from '../host/container-network.ts';
import type { HostResolver } from '../host/resolver-query.ts';
import { messageOf } from '../lib/errors.ts';
import { SandboxResolver } from './sandbox-resolver.ts';

/** Engines make several changes in a row. */
const SETTLE_MS = 50;

/** What the network needs of its VM. */
export interface NetworkVm {
  readonly cards: readonly NetworkCard[];
  setLink(card: NetworkCard, isUp: boolean): void;
}

/** Made when the VM runs. */
export class SandboxNetwork implements Disposable {
  readonly #network: ContainerNetwork;
  readonly #vm: NetworkVm;
  readonly #agent: AgentClient;
  readonly #warn: (message: string) => void;
  #resolver: SandboxResolver | undefined;
  #told = '';
  #warned = '';
  #plugged: readonly NetworkCard[] = [];
  #last: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /** @param path of the network namespace. @throws Node's error when there is none; SystemError */
  constructor(path: string, vm: NetworkVm, agent: AgentClient, warn: (message: string) => void) {
    this.#network = new ContainerNetwork(path, vm.cards);
    this.#vm = vm;
    this.#agent = agent;
    this.#warn = warn;
    this.#network.watch(() => this.#changed());
  }

  /** Brings the guest's network up to date. @throws ContainerNetworkError, SystemError, StatusError */
  async update(): Promise<void> {
    // One after the other; the error of one is not that of the next.
    const done = this.#last.then(() => this.#update());
    this.#last = done.catch(() => {});
    await done;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#isOver = true;
    this.#resolver?.[Symbol.dispose]();
    this.#network[Symbol.dispose]();
  }

  #changed(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.update().catch((error: unknown) =>
        this.#warn(`the guest's network is not as the container's on the host: ${messageOf(error)}`),
      );
    }, SETTLE_MS);
    this.#timer.unref();
  }

  async #update(): Promise<void> {
    const { request, plugged, left, resolver, problem } = this.#network.update();
    const text = JSON.stringify(request);
    if (text !== this.#told) {
      for (const card of this.#plugged) if (!plugged.includes(card)) this.#vm.setLink(card, false);
      for (const card of plugged) if (!this.#plugged.includes(card)) this.#vm.setLink(card, true);
      this.#plugged = plugged;
      await this.#agent.call('ConfigureNetwork', request);
      this.#told = text;
    }
    if (resolver !== undefined) await this.#serveResolver(resolver);
    const count = this.#vm.cards.length;
    const noCard = `no network card is left for ${left.join(', ')}: the virtual machine has ${count} (network_interfaces)`;
    this.#warnOf([...(left.length > 0 ? [noCard] : []), ...(problem === undefined ? [] : [problem])]);
  }

  /** Once there is a resolver, it stays: an engine that starts anew has it again a moment later. */
  async #serveResolver(resolver: HostResolver): Promise<void> {
    if (this.#resolver?.isOver === false) return;
    const started = await SandboxResolver.start(this.#agent, resolver, this.#warn);
    this.#resolver = started;
    if (this.#isOver) started[Symbol.dispose]();
  }

  #warnOf(problems: readonly string[]): void {
    const text = problems.join('; ');
    if (text === this.#warned) return;
    this.#warned = text;
    if (text !== '') this.#warn(text);
  }
}
