// passt over a stream: each frame behind its length, 4 bytes, big-endian (passt(1), "-s"; QEMU's "-netdev stream"). For passts
// that do not know vhost-user, and where frames are counted on their way.
import { constants } from 'node:os';
import type { PacketBackend, SendResult } from '../devices/virtio/net/backend.ts';
import { NO_OFFLOADS } from '../devices/virtio/net/offloads.ts';
import { HEADER_SIZE, MAX_FRAME_SIZE } from '../devices/virtio/net/packet.ts';
import { setNonBlocking } from '../ffi/fd.unsafe.ts';
import { IoVector, MAX_BUFFERS } from '../ffi/iovec.unsafe.ts';
import { SystemError } from '../ffi/system-error.ts';
import type { UnixConnection } from '../ffi/unix-socket.unsafe.ts';
import { KIB } from '../lib/units.ts';
import { BackEndError } from './back-end-process.ts';
import { copyBuffers } from './buffers.ts';
import { Waits } from './waits.ts';

const LENGTH_SIZE = 4;
/** passt hangs up on who sends it a larger one (its L2_MAX_LEN_PASST). */
const MAX_SENT_FRAME_SIZE = 65535;
/** Room for the largest frame and for many small ones. */
const INPUT_SIZE = 256 * KIB;
const { EAGAIN, EINTR, ECONNRESET, EPIPE } = constants.errno;
const EMPTY = new Uint8Array();
const EMPTY_HEADER = new Uint8Array(HEADER_SIZE);

export class PasstStream implements PacketBackend, Disposable {
  readonly offloads = NO_OFFLOADS;
  /** For messages. */
  readonly #name: string;
  readonly #connection: UnixConnection;
  readonly #waits: Waits;
  readonly #vector = new IoVector();
  readonly #input = new Uint8Array(new ArrayBuffer(INPUT_SIZE));
  /** What of the input has come and was not taken yet. */
  #inputStart = 0;
  #inputEnd = 0;
  /** The end of a frame that the socket had no room for. */
  #output = EMPTY;
  #onFrames: (() => void) | undefined;
  #framesTurn: NodeJS.Immediate | undefined;
  #onRoom: (() => void) | undefined;

  /** Takes the connection over. @throws SystemError */
  constructor(connection: UnixConnection, name: string) {
    this.#connection = connection;
    this.#name = name;
    setNonBlocking(connection.fd);
    this.#waits = new Waits(connection.fd);
  }

  setOffloads(): void {}

  /** @throws BackEndError ENDED when passt has gone; SystemError */
  receive(buffers: readonly Uint8Array[]): number {
    const frame = this.#takeFrame() ?? (this.#fill() ? this.#takeFrame() : undefined);
    if (frame === undefined) return 0;
    return copyBuffers([EMPTY_HEADER, frame], buffers);
  }

  /** @throws BackEndError ENDED when passt has gone; SystemError */
  send(_header: Uint8Array, frame: readonly Uint8Array[]): SendResult {
    let size = 0;
    for (const { length } of frame) size += length;
    if (size > MAX_SENT_FRAME_SIZE) return 'dropped';
    if (!this.#flush()) return 'full';
    const buffers = frame.length < MAX_BUFFERS ? frame : [Buffer.concat(frame)];
    const length = new Uint8Array(new ArrayBuffer(LENGTH_SIZE));
    new DataView(length.buffer).setUint32(0, size);
    const sent = this.#write(length, buffers);
    if (sent === undefined) return 'full';
    if (sent < LENGTH_SIZE + size) {
      this.#output = Buffer.concat([length, ...buffers]).subarray(sent);
      this.#awaitRoom();
    }
    return 'sent';
  }

  awaitFrames(onFrames: (() => void) | undefined): void {
    this.#onFrames = onFrames;
    this.#waits.forReading(onFrames);
    if (onFrames !== undefined) this.#offerFrames();
  }

  awaitRoom(onRoom: (() => void) | undefined): void {
    this.#onRoom = onRoom;
    this.#awaitRoom();
  }

  [Symbol.dispose](): void {
    this.#onFrames = undefined;
    clearImmediate(this.#framesTurn);
    this.#waits[Symbol.dispose]();
    this.#connection[Symbol.dispose]();
  }

  /** Frames that have come already make the socket readable no more. */
  #offerFrames(): void {
    this.#framesTurn ??= setImmediate(() => {
      this.#framesTurn = undefined;
      if (this.#onFrames === undefined || this.#frameSize() === undefined) return;
      this.#onFrames();
      if (this.#onFrames !== undefined) this.#offerFrames();
    });
  }

  /** The size of the frame that is next, once all of it is there, or it is clear that there is no such frame. */
  #frameSize(): number | undefined {
    const available = this.#inputEnd - this.#inputStart;
    if (available < LENGTH_SIZE) return undefined;
    const size = new DataView(this.#input.buffer).getUint32(this.#inputStart);
    return size <= MAX_FRAME_SIZE && available - LENGTH_SIZE < size ? undefined : size;
  }

  /** @throws BackEndError ENDED when there is no such frame */
  #takeFrame(): Uint8Array | undefined {
    const size = this.#frameSize();
    if (size === undefined) return undefined;
    if (size > MAX_FRAME_SIZE) {
      throw new BackEndError('ENDED', `${this.#name}, sent a frame of ${size} bytes`, { name: this.#name, size });
    }
    const start = this.#inputStart + LENGTH_SIZE;
    this.#inputStart = start + size;
    return this.#input.subarray(start, this.#inputStart);
  }

  /** @returns whether something came */
  #fill(): boolean {
    this.#input.copyWithin(0, this.#inputStart, this.#inputEnd);
    this.#inputEnd -= this.#inputStart;
    this.#inputStart = 0;
    for (;;) {
      const result = this.#vector.read(this.#connection.fd, [this.#input.subarray(this.#inputEnd)]);
      if (result > 0) {
        this.#inputEnd += result;
        return true;
      }
      if (result === -EAGAIN) return false;
      if (result !== -EINTR) this.#raise('readv', -result);
    }
  }

  /** The end of a frame waits for room too: nobody may ever send another one. */
  #awaitRoom(): void {
    const isAwaited = this.#onRoom !== undefined || this.#output.length > 0;
    this.#waits.forWriting(isAwaited ? this.#roomMade : undefined);
  }

  readonly #roomMade = (): void => {
    try {
      this.#flush();
    } catch {
      // Who receives or sends next is told.
      this.#output = EMPTY;
    }
    if (this.#output.length > 0) return;
    this.#onRoom?.();
    this.#awaitRoom();
  };

  /** Sends what is left of the last frame. @returns whether nothing is left */
  #flush(): boolean {
    while (this.#output.length > 0) {
      const sent = this.#write(this.#output, []);
      if (sent === undefined) return false;
      this.#output = this.#output.subarray(sent);
    }
    return true;
  }

  /** @returns bytes sent; undefined when there is no room */
  #write(first: Uint8Array, others: readonly Uint8Array[]): number | undefined {
    for (;;) {
      const result = this.#vector.write(this.#connection.fd, first, others);
      if (result >= 0) return result;
      if (result === -EAGAIN) return undefined;
      if (result !== -EINTR) this.#raise('writev', -result);
    }
  }

  #raise(syscall: string, errno: number): never {
    const isGone = errno === 0 || errno === EPIPE || errno === ECONNRESET;
    if (!isGone) throw new SystemError(syscall, errno, this.#name);
    throw new BackEndError('ENDED', `${this.#name}, closed the connection`, { name: this.#name });
  }
}
