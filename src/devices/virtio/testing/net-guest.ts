// A guest's network driver in a few lines, on the mock driver, and a network in memory.
import { MIB } from '../../../lib/units.ts';
import { VIRTIO_NET_HDR_F_NEEDS_CSUM, virtio_net_ctrl_hdr, virtio_net_hdr_v1 } from '../abi.gen.ts';
import type { NetBackend, PacketBackend, SendResult } from '../net/backend.ts';
import { NET_QUEUE, NetDevice, type NetOptions } from '../net/device.ts';
import type { Offloads } from '../net/offloads.ts';
import { HEADER_SIZE } from '../net/packet.ts';
import { type BufferPart, concatenate, MockMachine, type MockMachineOptions } from './mock-driver.ts';

export const EVERY_OFFLOAD: Offloads = { checksum: true, tso4: true, tso6: true, ecn: true, uso: true };
export const GUEST_MAC = Uint8Array.of(0x02, 0, 0, 0, 0, 1);

/** A frame that the device sent. */
export interface SentFrame {
  readonly header: Uint8Array;
  readonly frame: Uint8Array;
}

/** Frames in memory; readiness is told when a test says so. */
export class FakeNetwork implements PacketBackend {
  readonly offloads: Offloads;
  /** What the driver was said to take. */
  guestOffloads: Offloads | undefined;
  readonly sent: SentFrame[] = [];
  /** Whether there is no room to send. */
  isFull = false;
  /** What every call fails with. */
  failure: Error | undefined;
  /** How often the device asked for a frame. */
  reads = 0;
  readonly #frames: Uint8Array[] = [];
  #onFrames: (() => void) | undefined;
  #onRoom: (() => void) | undefined;

  constructor(offloads: Offloads = EVERY_OFFLOAD) {
    this.offloads = offloads;
  }

  /** Whether the device wants to be told of frames. */
  get isAwaited(): boolean {
    return this.#onFrames !== undefined;
  }

  /** Frames that the device has not taken. */
  get pending(): number {
    return this.#frames.length;
  }

  /** Frames arrive from the network, without headers. */
  arrive(...frames: readonly Uint8Array[]): void {
    this.#frames.push(...frames);
    this.tell();
  }

  /** Calls back as an event loop does for as long as something is ready. @returns how often */
  tell(): number {
    let calls = 0;
    for (; calls < 1000; calls++) {
      if (this.#frames.length > 0 && this.#onFrames !== undefined) this.#onFrames();
      else if (!this.isFull && this.#onRoom !== undefined) this.#onRoom();
      else break;
    }
    return calls;
  }

  setOffloads(offloads: Offloads): void {
    this.guestOffloads = offloads;
  }

  receive(buffers: readonly Uint8Array[]): number {
    this.reads += 1;
    if (this.failure !== undefined) throw this.failure;
    const frame = this.#frames.shift();
    if (frame === undefined) return 0;
    const bytes = concatenate([new Uint8Array(HEADER_SIZE), frame]);
    let done = 0;
    for (const buffer of buffers) {
      const piece = bytes.subarray(done, done + buffer.length);
      buffer.set(piece);
      done += piece.length;
    }
    return done;
  }

  send(header: Uint8Array, frame: readonly Uint8Array[]): SendResult {
    if (this.failure !== undefined) throw this.failure;
    if (this.isFull) return 'full';
    this.sent.push({ header: header.slice(), frame: concatenate(frame) });
    return 'sent';
  }

  awaitFrames(onFrames: (() => void) | undefined): void {
    this.#onFrames = onFrames;
  }

  awaitRoom(onRoom: (() => void) | undefined): void {
    this.#onRoom = onRoom;
  }
}

export interface NetGuestOptions extends MockMachineOptions {
  readonly network?: FakeNetwork;
  /** Options of the device; a back end of undefined is none. */
  readonly device?: Partial<Omit<NetOptions, 'backend'>> & { readonly backend?: NetBackend | undefined };
  /** Features that the driver does not take. */
  readonly refuse?: readonly number[];
  readonly queueSize?: number;
}

export class NetGuest {
  readonly network: FakeNetwork;
  readonly device: NetDevice;
  readonly machine: MockMachine;
  /** What the back end failed with, as the device reported it. */
  readonly errors: unknown[] = [];

  constructor({ network = new FakeNetwork(), device, refuse = [], queueSize, ...machine }: NetGuestOptions = {}) {
    this.network = network;
    const { backend, ...options } = { backend: network, ...device };
    this.device = new NetDevice({
      name: 'eth0',
      mac: GUEST_MAC,
      ...(backend === undefined ? {} : { backend }),
      onError: (error) => void this.errors.push(error),
      ...options,
    });
    this.machine = new MockMachine(this.device, { memorySize: 2 * MIB, ...machine });
    this.machine.driver.start({ refuse, ...(queueSize === undefined ? {} : { queueSize }) });
    this.machine.runDeferred();
  }

  /** Makes receive buffers available, and rings the bell if the device wants that. */
  offer(count: number, ...parts: readonly number[]): void {
    const queue = this.machine.driver.queue(NET_QUEUE.receive);
    for (let index = 0; index < count; index++) queue.push(...parts.map((write) => ({ write })));
    if (queue.wantsKick()) queue.kick();
  }

  /** Sends one frame; a header given as undefined is one of zeros. */
  send(frame: Uint8Array, header: Uint8Array = new Uint8Array(HEADER_SIZE)): void {
    this.sendParts({ read: header }, { read: frame });
  }

  sendParts(...parts: readonly BufferPart[]): void {
    const queue = this.machine.driver.queue(NET_QUEUE.transmit);
    queue.push(...parts);
    if (queue.wantsKick()) queue.kick();
  }

  /** Frames that went back to the driver from the transmit queue since the last call. */
  get returned(): number {
    return this.machine.driver.queue(NET_QUEUE.transmit).takeUsed().length;
  }

  /** Frames that arrived since the last call, put together from as many buffers as each says. */
  receive(): { readonly buffers: number; readonly frame: Uint8Array }[] {
    const used = this.machine.driver.queue(NET_QUEUE.receive).takeUsed();
    const frames = [];
    for (let at = 0; at < used.length; ) {
      const first = used[at]?.bytes ?? new Uint8Array();
      const buffers = new DataView(first.buffer, first.byteOffset).getUint16(virtio_net_hdr_v1.num_buffers, true);
      const bytes = concatenate(used.slice(at, at + buffers).map((buffer) => buffer.bytes));
      frames.push({ buffers, frame: bytes.subarray(HEADER_SIZE) });
      at += Math.max(1, buffers);
    }
    return frames;
  }

  /** One command on the control queue. @returns the answer */
  command(commandClass: number, command: number, parameters: Uint8Array): number | undefined {
    const queue = this.machine.driver.queue(NET_QUEUE.control);
    const header = new Uint8Array(virtio_net_ctrl_hdr.sizeof);
    header[virtio_net_ctrl_hdr.class] = commandClass;
    header[virtio_net_ctrl_hdr.cmd] = command;
    queue.push({ read: header }, ...(parameters.length === 0 ? [] : [{ read: parameters }]), { write: 1 });
    queue.kick();
    return queue.takeUsed()[0]?.bytes[0];
  }
}

/** A header with these fields, the rest zero. */
export function netHeader(fields: {
  readonly flags?: number;
  readonly gsoType?: number;
  readonly headerLength?: number;
  readonly gsoSize?: number;
  readonly checksumStart?: number;
  readonly checksumOffset?: number;
  readonly bufferCount?: number;
}): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER_SIZE));
  view.setUint8(virtio_net_hdr_v1.flags, fields.flags ?? 0);
  view.setUint8(virtio_net_hdr_v1.gso_type, fields.gsoType ?? 0);
  view.setUint16(virtio_net_hdr_v1.hdr_len, fields.headerLength ?? 0, true);
  view.setUint16(virtio_net_hdr_v1.gso_size, fields.gsoSize ?? 0, true);
  view.setUint16(virtio_net_hdr_v1.csum_start, fields.checksumStart ?? 0, true);
  view.setUint16(virtio_net_hdr_v1.csum_offset, fields.checksumOffset ?? 0, true);
  view.setUint16(virtio_net_hdr_v1.num_buffers, fields.bufferCount ?? 0, true);
  return new Uint8Array(view.buffer);
}

/** The header of a TCP segment that the network is to checksum. */
export const CHECKSUM_HEADER: Uint8Array = netHeader({
  flags: VIRTIO_NET_HDR_F_NEEDS_CSUM,
  checksumStart: 34,
  checksumOffset: 16,
});
