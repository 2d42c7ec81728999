// A tap device of Linux as the network's end of a virtio-net device. A frame goes between the device and guest memory in one
// system call, unfinished where both ends agree on that.
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import type { PacketBackend, SendResult } from '../devices/virtio/net/backend.ts';
import { NO_OFFLOADS, type Offloads } from '../devices/virtio/net/offloads.ts';
import { ETHERNET_HEADER_SIZE, HEADER_SIZE } from '../devices/virtio/net/packet.ts';
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from '../ffi/abi.gen.ts';
import { duplicateFd, OwnedFd, setNonBlocking } from '../ffi/fd.unsafe.ts';
import { IoVector } from '../ffi/iovec.unsafe.ts';
import { SystemError } from '../ffi/system-error.ts';
import {
  attachTap,
  bringUp,
  createTap,
  describeTap,
  MAX_INTERFACE_NAME,
  setTapHeaderSize,
  setTapOffloads,
} from '../ffi/tap.unsafe.ts';
import type { Fd } from '../lib/brand.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { Waits } from './waits.ts';

const TUN_DEVICE = '/dev/net/tun';
/** What the kernel lets a tap have: frames of 65535 bytes, without the Ethernet header. */
const MAXIMUM_MTU = 65535 - ETHERNET_HEADER_SIZE;
const { EAGAIN, EINTR } = constants.errno;
/** The tap was removed. Node has no name for it: EBADFD of asm-generic/errno.h. */
const EBADFD = 77;

export type TapErrorCode =
  /** There is no /dev/net/tun, or it cannot be opened. */
  | 'NO_TUN'
  /** The name cannot be an interface's. */
  | 'NAME'
  /** No tap can have this MTU. */
  | 'MTU'
  /** The tap is another user's, or may not be created. */
  | 'NOT_PERMITTED'
  /** Another program has it. */
  | 'IN_USE'
  /** The interface, or the descriptor, is no tap of the kind that is needed. */
  | 'NOT_A_TAP'
  /** Anything else that the kernel refuses. */
  | 'FAILED'
  /** It was removed while it was in use. */
  | 'REMOVED';

export class TapError extends TskataError<TapErrorCode> {}

export interface TapOptions {
  /** MTU of a tap that is created here; one that is there already keeps its own. */
  readonly mtu?: number;
}

/** One tap with one queue. Disposing it closes the descriptor: a tap that was created here goes with it. */
export class Tap implements PacketBackend, Disposable {
  /** The interface's name. */
  readonly name: string;
  readonly offloads: Offloads;
  readonly #owned: OwnedFd;
  readonly #waits: Waits;
  readonly #vector = new IoVector();

  private constructor(name: string, owned: OwnedFd) {
    this.name = name;
    this.#owned = owned;
    this.#waits = new Waits(owned.fd);
    setTapHeaderSize(owned.fd, HEADER_SIZE);
    this.offloads = supportedOffloads(owned.fd);
    setTapOffloads(owned.fd, NO_OFFLOADS);
  }

  /**
   * Opens the tap with this name. One that is not there is created and taken up; it has no address, and is in no bridge.
   * @throws TapError
   */
  static open(name: string, { mtu }: TapOptions = {}): Tap {
    if (!isInterfaceName(name)) {
      throw new TapError('NAME', `"${name}" is no name of an interface: use 1 to ${MAX_INTERFACE_NAME} bytes`, {
        name,
      });
    }
    using resources = new DisposableStack();
    const owned = resources.use(openTun(name));
    let isNew = true;
    try {
      isNew = createTap(owned.fd, name);
      if (isNew && mtu !== undefined && mtu > MAXIMUM_MTU) {
        throw new TapError('MTU', `the tap ${name} cannot have an MTU of ${mtu}: use up to ${MAXIMUM_MTU}`, {
          name,
          mtu,
        });
      }
      if (!isNew) attachTap(owned.fd, name);
      const tap = new Tap(name, owned);
      if (isNew) bringUp(name, mtu);
      resources.move();
      return tap;
    } catch (error) {
      throw error instanceof TapError ? error : refusal(name, isNew, error);
    }
  }

  /**
   * Takes over a descriptor of a tap that somebody else opened and attached, which is ours from now on. Any other is left alone.
   * @throws TapError NOT_A_TAP
   */
  static adopt(fd: number): Tap {
    using resources = new DisposableStack();
    try {
      // Before it is closed: a descriptor that is not meant may be one that Node cannot do without.
      const { name, isUsable } = describeTap(fd as Fd);
      if (!isUsable) {
        throw new TapError(
          'NOT_A_TAP',
          `fd ${fd} is ${name}, without what is needed: attach it with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR`,
          { fd, name },
        );
      }
      // Ours goes to no child.
      const owned = resources.use(duplicateFd(fd as Fd));
      closeSync(fd);
      setNonBlocking(owned.fd);
      const tap = new Tap(name, owned);
      resources.move();
      return tap;
    } catch (error) {
      if (error instanceof TapError) throw error;
      throw new TapError(
        'NOT_A_TAP',
        `fd ${fd} is no tap: ${messageOf(error)}; pass the descriptor of ${TUN_DEVICE} after TUNSETIFF`,
        { fd },
        { cause: error },
      );
    }
  }

  /** For vhost-net, which takes the frames from here on. */
  get fd(): Fd {
    return this.#owned.fd;
  }

  setOffloads(offloads: Offloads): void {
    setTapOffloads(this.fd, offloads);
  }

  /** @throws TapError REMOVED; SystemError */
  receive(buffers: readonly Uint8Array[]): number {
    for (;;) {
      const result = this.#vector.read(this.fd, buffers);
      if (result >= 0) return result;
      if (result === -EAGAIN) return 0;
      if (result !== -EINTR) this.#raise('readv', -result);
    }
  }

  /** @throws TapError REMOVED */
  send(header: Uint8Array, frame: readonly Uint8Array[]): SendResult {
    for (;;) {
      const result = this.#vector.write(this.fd, header, frame);
      if (result >= 0) return 'sent';
      if (result === -EAGAIN) return 'full';
      if (result === -EBADFD) this.#raise('writev', EBADFD);
      // A frame that the kernel finds no sense in (EINVAL), or an interface that is down (EIO): a loss of this frame only.
      if (result !== -EINTR) return 'dropped';
    }
  }

  awaitFrames(onFrames: (() => void) | undefined): void {
    this.#waits.forReading(onFrames);
  }

  awaitRoom(onRoom: (() => void) | undefined): void {
    this.#waits.forWriting(onRoom);
  }

  [Symbol.dispose](): void {
    this.#waits[Symbol.dispose]();
    this.#owned[Symbol.dispose]();
  }

  #raise(syscall: string, errno: number): never {
    if (errno !== EBADFD) throw new SystemError(syscall, errno, `the tap ${this.name}`);
    throw new TapError('REMOVED', `the tap ${this.name} was removed: the guest has no network any more`, {
      name: this.name,
    });
  }
}

function isInterfaceName(name: string): boolean {
  const length = Buffer.byteLength(name);
  return length > 0 && length <= MAX_INTERFACE_NAME && !/[\s/:%\0]/.test(name) && name !== '.' && name !== '..';
}

/** @throws TapError NO_TUN */
function openTun(name: string): OwnedFd {
  try {
    return new OwnedFd(openSync(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  } catch (error) {
    throw new TapError(
      'NO_TUN',
      `cannot open ${TUN_DEVICE} for the tap ${name}: ${messageOf(error)}; \`modprobe tun\` makes it, a container needs --device ${TUN_DEVICE}, and passt needs none of this`,
      { name },
      { cause: error },
    );
  }
}

/** What this kernel's taps can do. They need not be attached for it to tell. */
function supportedOffloads(fd: Fd): Offloads {
  const all: Offloads = { checksum: true, tso4: true, tso6: true, ecn: true, uso: true };
  for (const offloads of [all, { ...all, uso: false }]) {
    try {
      setTapOffloads(fd, offloads);
      return offloads;
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== 'EINVAL') throw error;
    }
  }
  return NO_OFFLOADS;
}

function refusal(name: string, isNew: boolean, cause: unknown): TapError {
  const code = cause instanceof SystemError ? cause.code : undefined;
  const make = (kind: TapErrorCode, message: string): TapError => new TapError(kind, message, { name }, { cause });
  switch (code) {
    case 'EBUSY': {
      const users = usersOf(name);
      const who = users.length === 0 ? 'another program' : `process ${users.join(', ')}`;
      return make('IN_USE', `the tap ${name} is in use by ${who}: end it, or use another tap`);
    }
    case 'EPERM':
      return make(
        'NOT_PERMITTED',
        isNew
          ? `there is no tap ${name}, and this user may not create it: as root, \`ip tuntap add dev ${name} mode tap user $USER\`, or use passt`
          : `the tap ${name} is another user's: as root, \`ip tuntap add dev ${name} mode tap user $USER\` gives this user one`,
      );
    case 'EINVAL':
      return make(
        'NOT_A_TAP',
        `the interface ${name} is no tap of one queue: name another one, or one that is not there`,
      );
    default:
      return make('FAILED', `cannot use the tap ${name}: ${messageOf(cause)}`);
  }
}

/** Processes that have this tap attached, as far as we may see them. */
function usersOf(name: string): string[] {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && hasTap(pid, name));
}

function hasTap(pid: string, name: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some(
      (fd) =>
        readlinkSync(`/proc/${pid}/fd/${fd}`) === TUN_DEVICE &&
        readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').includes(`iff:\t${name}\n`),
    );
  } catch {
    return false;
  }
}
