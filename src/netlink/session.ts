// A conversation with rtnetlink(7): requests that the kernel acknowledges, and lists of what there is.
import * as abi from './abi.gen.ts';
import { decodeError, decodeMessages, doneErrno, encodeMessage, type NetlinkMessage } from './message.ts';

/** The kernel makes no larger datagram for a list (netlink_dump in net/netlink/af_netlink.c). */
export const DATAGRAM_MAX = 32 * 1024;
/** How often a list is read again that changed under the reader. */
const DUMPS_MAX = 10;

/** A socket of NETLINK_ROUTE with NETLINK_EXT_ACK and NETLINK_CAP_ACK. `subject` is what a call is about, for errors. */
export interface NetlinkTransport {
  /** Sends one datagram to the kernel. */
  send(datagram: Uint8Array, subject: string): void;
  /** Waits for a datagram, which is the caller's. */
  receive(subject: string): Uint8Array;
  close(): void;
  /** Makes an error of a request that the kernel refused. @param explanation the kernel's own words, where it has some */
  refusal(subject: string, errno: number, explanation: string): Error;
}

/** errno.h; of a list that keeps changing. */
const EAGAIN = 11;

/** To be closed. */
export class NetlinkSession {
  readonly #transport: NetlinkTransport;
  #sequence = 0;

  constructor(transport: NetlinkTransport) {
    this.#transport = transport;
  }

  close(): void {
    this.#transport.close();
  }

  /** Has something changed. @param subject what it is about @throws what the transport's `refusal` makes */
  request(type: number, flags: number, payload: Uint8Array, subject: string): void {
    this.#exchange(type, flags | abi.NLM_F_ACK, payload, subject, () => {});
  }

  /** Everything of one kind. @param payload the family's header. @throws what the transport's `refusal` makes */
  dump(type: number, payload: Uint8Array, subject: string): Uint8Array[] {
    for (let attempt = 1; ; attempt++) {
      const found: Uint8Array[] = [];
      let whole = true;
      this.#exchange(type, abi.NLM_F_DUMP, payload, subject, (message) => {
        if ((message.flags & abi.NLM_F_DUMP_INTR) !== 0) whole = false;
        found.push(message.payload);
      });
      if (whole) return found;
      if (attempt === DUMPS_MAX) throw this.#transport.refusal(subject, EAGAIN, 'the list keeps changing');
    }
  }

  /** Sends a request and takes its answers up to the last. */
  #exchange(
    type: number,
    flags: number,
    payload: Uint8Array,
    subject: string,
    take: (message: NetlinkMessage) => void,
  ): void {
    const sequence = ++this.#sequence;
    this.#transport.send(encodeMessage({ type, flags: flags | abi.NLM_F_REQUEST, sequence, payload }), subject);
    for (;;) {
      for (const message of decodeMessages(this.#transport.receive(subject))) {
        if (message.sequence !== sequence) continue;
        if (message.type === abi.NLMSG_ERROR) {
          const { errno, reason } = decodeError(message);
          if (errno !== 0) throw this.#transport.refusal(subject, errno, reason);
          return;
        }
        if (message.type === abi.NLMSG_DONE) {
          const errno = doneErrno(message);
          if (errno !== 0) throw this.#transport.refusal(subject, errno, '');
          return;
        }
        take(message);
      }
    }
  }
}
