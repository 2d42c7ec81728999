// A socket of rtnetlink(7).
import { DATAGRAM_MAX, type NetlinkTransport } from '../../../src/netlink/session.ts';
import * as abi from './abi.gen.ts';
import { call, SystemError, structure } from './call.ts';
import { close } from './file.ts';

/** The kernel refused a request. */
export class NetlinkError extends SystemError {
  /** @param explanation the kernel's own words, where it has some */
  constructor(subject: string, errno: number, explanation: string) {
    super('netlink', subject, errno);
    if (explanation !== '') this.message += ` (${explanation})`;
  }
}

/** To be closed. Every method may throw SystemError. */
export class NetlinkSocket implements NetlinkTransport {
  readonly #fd: number;

  constructor() {
    const type = abi.SOCK_RAW | abi.SOCK_CLOEXEC;
    this.#fd = call('socket', 'netlink', abi.SYS_socket, abi.AF_NETLINK, type, abi.NETLINK_ROUTE);
    const on = structure(4);
    on.view.setUint32(0, 1, true);
    for (const option of [abi.NETLINK_EXT_ACK, abi.NETLINK_CAP_ACK]) {
      call('setsockopt', 'netlink', abi.SYS_setsockopt, this.#fd, abi.SOL_NETLINK, option, on.bytes, on.bytes.length);
    }
  }

  close(): void {
    close(this.#fd);
  }

  send(datagram: Uint8Array, subject: string): void {
    // A socket without an address of its own and a message without a destination: to the kernel (netlink(7)).
    call('send', subject, abi.SYS_sendto, this.#fd, datagram, datagram.length, 0, null, 0);
  }

  receive(subject: string): Uint8Array {
    const buffer = new Uint8Array(DATAGRAM_MAX);
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

  refusal(subject: string, errno: number, explanation: string): Error {
    return new NetlinkError(subject, errno, explanation);
  }
}
