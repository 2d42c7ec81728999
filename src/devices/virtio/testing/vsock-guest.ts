// A guest's vsock driver in a few lines, on the mock driver: it sends packets of any kind and reads what the device sends.

import { MIB } from '../../../lib/units.ts';
import { VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_TYPE_STREAM } from '../abi.gen.ts';
import { VSOCK_QUEUE, VsockDevice, type VsockOptions } from '../vsock/device.ts';
import { decodeHeader, encodeHeader, HEADER_SIZE, type PacketHeader } from '../vsock/request.ts';
import { FakeTimers, FakeVsockHost } from './fake-vsock-host.ts';
import { concatenate, MockMachine } from './mock-driver.ts';

export const GUEST_CID = 3;
export const GUEST_PORT = 5000;
export const HOST_PORT = 1024;

/** A packet that the device sent. */
export interface ReceivedPacket {
  readonly header: PacketHeader;
  readonly payload: Uint8Array;
}

export class VsockGuest {
  host: FakeVsockHost = new FakeVsockHost();
  device: VsockDevice;
  machine: MockMachine;
  readonly timers: FakeTimers = new FakeTimers();
  readonly #options: Partial<VsockOptions>;

  constructor(options: Partial<VsockOptions> = {}, rxBuffers = 8) {
    this.#options = options;
    this.device = this.#makeDevice();
    this.machine = new MockMachine(this.device, { memorySize: 2 * MIB });
    this.machine.driver.start();
    this.offerBuffers(rxBuffers);
  }

  /** Goes on with another device on another host, as after a restore; it is still at rest. */
  async move(): Promise<void> {
    this.host = new FakeVsockHost();
    this.device = this.#makeDevice();
    this.machine = await this.machine.moveTo(this.device);
  }

  #makeDevice(): VsockDevice {
    return new VsockDevice({ guestCid: GUEST_CID, host: this.host, timers: this.timers, ...this.#options });
  }

  /** Makes rx buffers available, of the size that Linux uses. */
  offerBuffers(count: number, size = 4096): void {
    const rx = this.machine.driver.queue(VSOCK_QUEUE.rx);
    for (let index = 0; index < count; index++) rx.push({ write: size });
    rx.kick();
  }

  /** Sends one packet, from port GUEST_PORT to port HOST_PORT of the host unless told otherwise. */
  send(fields: Partial<PacketHeader> & { readonly operation: number }, payload: Uint8Array = new Uint8Array()): void {
    const tx = this.machine.driver.queue(VSOCK_QUEUE.tx);
    const header = encodeHeader({
      sourceCid: BigInt(GUEST_CID),
      destinationCid: 2n,
      sourcePort: GUEST_PORT,
      destinationPort: HOST_PORT,
      length: payload.length,
      type: VIRTIO_VSOCK_TYPE_STREAM,
      flags: 0,
      bufferSize: 64 * 1024,
      forwardedCount: 0,
      ...fields,
    });
    if (payload.length === 0) tx.push({ read: header });
    else tx.push({ read: header }, { read: payload });
    tx.kick();
    tx.takeUsed();
  }

  sendData(payload: Uint8Array): void {
    this.send({ operation: VIRTIO_VSOCK_OP_RW }, payload);
  }

  /** Connects to HOST_PORT of the host, which accepts. */
  connect(fields: Partial<PacketHeader> = {}): void {
    this.send({ operation: VIRTIO_VSOCK_OP_REQUEST, ...fields });
    this.host.latest.events?.opened();
    this.receive();
  }

  /** What the device sent since the last call; the buffers are offered again. */
  receive(): ReceivedPacket[] {
    const packets = this.machine.driver
      .queue(VSOCK_QUEUE.rx)
      .takeUsed()
      .map(({ bytes }) => ({ header: decodeHeader(bytes), payload: bytes.subarray(HEADER_SIZE) }));
    if (packets.length > 0) this.offerBuffers(packets.length);
    return packets;
  }

  /** Operations of what the device sent since the last call. */
  receiveOperations(): number[] {
    return this.receive().map(({ header }) => header.operation);
  }

  /** All payload that the device sends until it has no more. */
  receiveData(): Uint8Array {
    const pieces: Uint8Array[] = [];
    for (;;) {
      const packets = this.receive();
      if (packets.length === 0) return concatenate(pieces);
      pieces.push(...packets.map(({ payload }) => payload));
    }
  }
}
