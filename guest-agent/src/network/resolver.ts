// The resolver that the container's network namespace has on the host, at the same address in the guest: takes queries by UDP and
// TCP, has the host ask them there (agent.proto, ServeResolver), and gives its answers back.
import type { ResolverQuery } from '../../../src/protocol/agent.gen.ts';
import {
  DNS_QUERIES_MAX,
  DNS_QUERY_BYTES_MAX,
  DnsStream,
  isDnsQuery,
  RESOLVER_ADDRESS,
  withLength,
} from '../../../src/protocol/dns-message.ts';
import { ItemQueue } from '../../../src/protocol/item-queue.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import { type EventLoop, Pollable } from '../event-loop.ts';
import type { Address } from '../linux/socket.ts';
import { bindDatagrams, localPort, namespaceCookie, receiveDatagram, sendDatagram } from '../linux/socket.ts';
import { serve } from '../rpc/listener.ts';
import { SocketStream } from '../rpc/socket-stream.ts';
import { redirectToResolver } from './resolver-redirect.ts';

/** Connections at once. */
const CONNECTIONS_MAX = 64;
/** How long a connection may be silent, milliseconds (RFC 7766, 6.2.3: some seconds). */
const IDLE_MS = 10_000;
const ID_MAX = 0xffff_ffff;
const ADDRESS: Address = { family: 'inet', address: RESOLVER_ADDRESS, port: 0 };

type Answer = Uint8Array | undefined;

/** The resolver of a guest, while the host serves it. */
export class Resolver {
  readonly #loop: EventLoop;
  #relay: Relay | undefined;

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** What is asked from now on, until the caller leaves. @throws StatusError ALREADY_EXISTS; SystemError */
  queries(): AsyncIterable<ResolverQuery> {
    if (this.#relay !== undefined) throw new StatusError('ALREADY_EXISTS', 'the resolver is served already');
    const relay = new Relay(this.#loop, () => {
      this.#relay = undefined;
    });
    this.#relay = relay;
    return relay.queries;
  }

  answer(id: number, message: Uint8Array): void {
    this.#relay?.answer(id, message);
  }
}

class Relay {
  /** What waits in it is bounded by the queries under way. */
  readonly queries: ItemQueue<ResolverQuery>;
  readonly #loop: EventLoop;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  /** Those who wait until there is room for another query. */
  readonly #outside: (() => void)[] = [];
  readonly #connections = new Set<SocketStream>();
  readonly #udp: Pollable;
  readonly #tcp: Pollable;
  readonly #endRedirection: () => void;
  #lastId = 0;
  #isOver = false;

  constructor(loop: EventLoop, onEnd: () => void) {
    this.#loop = loop;
    this.queries = new ItemQueue(Number.POSITIVE_INFINITY, () => {
      this.#end();
      onEnd();
    });
    this.#udp = new Pollable(loop, bindDatagrams(ADDRESS));
    try {
      this.#tcp = serve(loop, ADDRESS, CONNECTIONS_MAX, (fd) => this.#converse(fd));
    } catch (error) {
      this.#udp.close();
      throw error;
    }
    try {
      this.#endRedirection = redirectToResolver({
        udp: localPort(this.#udp.fd),
        tcp: localPort(this.#tcp.fd),
        namespaceCookie: namespaceCookie(this.#udp.fd),
      });
    } catch (error) {
      this.#udp.close();
      this.#tcp.close();
      throw error;
    }
    this.queries.push({ id: 0, message: new Uint8Array(0), tcp: false });
    void this.#takeDatagrams();
  }

  /** @param message empty when there is no answer */
  answer(id: number, message: Uint8Array): void {
    const take = this.#waiting.get(id);
    this.#waiting.delete(id);
    take?.(message.length === 0 ? undefined : message);
    this.#outside.shift()?.();
  }

  #end(): void {
    this.#isOver = true;
    this.#endRedirection();
    this.#udp.close();
    this.#tcp.close();
    for (const connection of this.#connections) connection.close();
    for (const id of [...this.#waiting.keys()]) this.answer(id, new Uint8Array(0));
    for (const enter of this.#outside.splice(0)) enter();
  }

  /** Settles when another query may be asked, or nothing more may. */
  async #room(): Promise<void> {
    while (this.#waiting.size >= DNS_QUERIES_MAX && !this.#isOver) {
      await new Promise<void>((resolve) => this.#outside.push(resolve));
    }
  }

  async #ask(message: Uint8Array, tcp: boolean): Promise<Answer> {
    // Others may have come in since it was said that there is room.
    while (this.#waiting.size >= DNS_QUERIES_MAX && !this.#isOver) await this.#room();
    if (this.#isOver) return undefined;
    this.#lastId = (this.#lastId % ID_MAX) + 1;
    const id = this.#lastId;
    return await new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.queries.push({ id, message, tcp });
    });
  }

  /** One in a turn of the event loop: whoever sends without end keeps nobody else waiting. What is too much the kernel drops. */
  async #takeDatagrams(): Promise<void> {
    const socket = this.#udp;
    while (!socket.closed) {
      await this.#room();
      await socket.readable();
      const datagram = socket.closed ? undefined : receiveDatagram(socket.fd, DNS_QUERY_BYTES_MAX + 1);
      if (datagram === undefined || !isDnsQuery(datagram.bytes)) continue;
      void this.#ask(datagram.bytes, false).then((answer) => {
        if (answer !== undefined && !socket.closed) sendDatagram(socket.fd, { bytes: answer, from: datagram.from });
      });
    }
  }

  /** A connection of a program: its queries one after the other, until it ends, is silent or sends what is no query. */
  async #converse(fd: number): Promise<void> {
    const connection = new SocketStream(this.#loop, fd);
    this.#connections.add(connection);
    let cancel = this.#loop.after(IDLE_MS, () => connection.close());
    const stream = new DnsStream(DNS_QUERY_BYTES_MAX);
    try {
      for (let piece = await connection.read(); piece !== undefined; piece = await connection.read()) {
        stream.push(piece);
        for (let query = stream.next(); query !== undefined; query = stream.next()) {
          cancel();
          const answer = isDnsQuery(query) ? await this.#ask(query, true) : undefined;
          if (answer === undefined) return;
          cancel = this.#loop.after(IDLE_MS, () => connection.close());
          await connection.write(withLength(answer));
        }
      }
    } catch {
      // It broke, or has sent a length that no query has: both end it.
    } finally {
      cancel();
      this.#connections.delete(connection);
      connection.close();
    }
  }
}
