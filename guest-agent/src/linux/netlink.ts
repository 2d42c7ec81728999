// A socket of rtnetlink(7): requests that the kernel acknowledges, and lists of what there is.
import * as abi from './abi.gen.ts';
import { call, SystemError, structure } from './call.ts';
import { close } from './file.ts';
import { decodeError, decodeMessages, doneErrno, encodeMessage, type NetlinkMessage } from './netlink-message.ts';

/** The kernel makes no larger datagram for a list (netlink_dump in net/netlink/af_netlink.c). */
const BUFFER_SIZE = 32 * 1024;
/** How often a list is read again that changed under the reader. */
const DUMPS_MAX = 10;

/** The kernel refused a request. */
export class NetlinkError extends SystemError {
  /** @param explanation the kernel's own words, where it has some */
  constructor(subject: string, errno: number, explanation: string) {
    super('netlink', subject, errno);
    if (explanation !== '') this.message += ` (${explanation})`;
  }
}

/** To be closed. */
export class NetlinkSocket {
  readonly #fd: number;
  #sequence = 0;

  constructor() {
    this.#fd = call(
      'socket',
      'netlink',
      abi.SYS_socket,
      abi.AF_NETLINK,
      abi.SOCK_RAW | abi.SOCK_CLOEXEC,
      abi.NETLINK_ROUTE,
    );
    const on = structure(4);
    on.view.setUint32(0, 1, true);
    for (const option of [abi.NETLINK_EXT_ACK, abi.NETLINK_CAP_ACK]) {
      call('setsockopt', 'netlink', abi.SYS_setsockopt, this.#fd, abi.SOL_NETLINK, option, on.bytes, on.bytes.length);
    }
  }

  close(): void {
    close(this.#fd);
  }

  /** Has something changed. @param subject what it is about @throws NetlinkError */
  request(type: number, flags: number, payload: Uint8Array, subject: string): void {
    this.#exchange(type, flags | abi.NLM_F_ACK, payload, subject, () => {});
  }

  /** Everything of one kind. @param payload the family's header. @throws NetlinkError */
  dump(type: number, payload: Uint8Array, subject: string): Uint8Array[] {
    for (let attempt = 1; ; attempt++) {
      const found: Uint8Array[] = [];
      let whole = true;
      this.#exchange(type, abi.NLM_F_DUMP, payload, subject, (message) => {
        if ((message.flags & abi.NLM_F_DUMP_INTR) !== 0) whole = false;
        found.push(message.payload);
      });
      if (whole) return found;
      if (attempt === DUMPS_MAX) throw new NetlinkError(subject, abi.EAGAIN, 'the list keeps changing');
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
    const request = encodeMessage({ type, flags: flags | abi.NLM_F_REQUEST, sequence, payload });
    // A socket without an address of its own and a message without a destination: to the kernel (netlink(7)).
    call('send', subject, abi.SYS_sendto, this.#fd, request, request.length, 0, null, 0);
    for (;;) {
      for (const message of decodeMessages(this.#receive(subject))) {
        if (message.sequence !== sequence) continue;
        if (message.type === abi.NLMSG_ERROR) {
          const { errno, reason } = decodeError(message);
          if (errno !== 0) throw new NetlinkError(subject, errno, reason);
          return;
        }
        if (message.type === abi.NLMSG_DONE) {
          const errno = doneErrno(message);
          if (errno !== 0) throw new NetlinkError(subject, errno, '');
          return;
        }
        take(message);
      }
    }
  }

  #receive(subject: string): Uint8Array {
    // Fresh for each datagram: what is taken from it stays in use.
    const buffer = new Uint8Array(BUFFER_SIZE);
    const length = call(
      'receive',
      subject,
      abi.SYS_recvfrom,
      this.#fd,
      buffer,
      buffer.length,
      abi.MSG_TRUNC,
      null,
      null,
    );
    if (length > buffer.length) throw new NetlinkError(subject, abi.EIO, `a datagram of ${length} bytes`);
    return buffer.slice(0, length);
  }
}
