// Carries what the guest asks its resolver to the one in the container's network namespace, and the answers back. The guest may
// be hostile: what it asks goes nowhere else, and it cannot make this process hold more than a bounded number of questions.
import type { AgentClient } from '../agent-client/agent-client.ts';
import { askResolver, type HostResolver } from '../host/resolver-query.ts';
import { messageOf } from '../lib/errors.ts';
import type { ResolverQuery } from '../protocol/agent.gen.ts';
import { DNS_QUERIES_MAX, isDnsQuery } from '../protocol/dns-message.ts';

/** An agent asks no more than `DNS_QUERIES_MAX` at once, but need not have seen yet that we are done with as many. */
const UNDER_WAY_MAX = 2 * DNS_QUERIES_MAX;
/** How long the agent may take to listen, milliseconds. */
const LISTEN_MS = 60_000;

/** What is needed of the agent's client. */
export type ResolverAgent = Pick<AgentClient, 'resolverQueries' | 'call'>;

export class SandboxResolver implements Disposable {
  readonly #agent: ResolverAgent;
  readonly #resolver: HostResolver;
  readonly #warn: (message: string) => void;
  readonly #queries: AsyncIterableIterator<ResolverQuery, undefined>;
  #underWay = 0;
  #warned = '';
  #isOver = false;

  private constructor(agent: ResolverAgent, resolver: HostResolver, warn: (message: string) => void) {
    this.#agent = agent;
    this.#resolver = resolver;
    this.#warn = warn;
    this.#queries = agent.resolverQueries();
  }

  /** @returns once the guest has the resolver @throws StatusError; Error when its agent does not answer in time (rejects) */
  static async start(
    agent: ResolverAgent,
    resolver: HostResolver,
    warn: (message: string) => void,
  ): Promise<SandboxResolver> {
    const started = new SandboxResolver(agent, resolver, warn);
    const timer = setTimeout(() => started[Symbol.dispose](), LISTEN_MS);
    timer.unref();
    const { done } = await started.#queries.next();
    clearTimeout(timer);
    if (done === true) throw new Error("the guest's agent does not listen for what is asked the resolver");
    void started.#serve();
    return started;
  }

  /** Whether the guest has it no longer. */
  get isOver(): boolean {
    return this.#isOver;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    void this.#queries.return?.();
  }

  async #serve(): Promise<void> {
    try {
      for await (const query of this.#queries) {
        // No agent of ours asks what is dropped here.
        if (this.#underWay < UNDER_WAY_MAX && isDnsQuery(query.message)) void this.#answer(query);
      }
    } catch (error) {
      this.#warnOnce(`the guest has no resolver any more: ${messageOf(error)}`);
    }
    this.#isOver = true;
  }

  async #answer({ id, message, tcp }: ResolverQuery): Promise<void> {
    this.#underWay += 1;
    try {
      const answer = await askResolver(this.#resolver, message, tcp).catch((error: unknown) => {
        this.#warnOnce(`the resolver of the container's network cannot be asked: ${messageOf(error)}`);
        return undefined;
      });
      if (!this.#isOver) await this.#agent.call('AnswerQuery', { id, message: answer ?? new Uint8Array(0) });
    } catch (error) {
      this.#warnOnce(`the guest takes no answers of its resolver: ${messageOf(error)}`);
    } finally {
      this.#underWay -= 1;
    }
  }

  /** The guest decides how often something goes wrong. */
  #warnOnce(message: string): void {
    if (this.#isOver || message === this.#warned) return;
    this.#warned = message;
    this.#warn(message);
  }
}
