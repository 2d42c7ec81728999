import * as abi from '../../../src/devices/virtio/abi.gen.ts';
import { FakeHostStream, FakeTimers, FakeVsockHost } from '../../../src/devices/virtio/testing/fake-vsock-host.ts';
import { GUEST_CID, GUEST_PORT, HOST_PORT } from '../../../src/devices/virtio/testing/vsock-guest.ts';
import { VSOCK_QUEUE, VsockDevice } from '../../../src/devices/virtio/vsock/device.ts';
import { decodeHeader, encodeHeader } from '../../../src/devices/virtio/vsock/request.ts';
import type { Subject } from '../subject.ts';

const BUFFER_SIZE = 2048;
const MAX_CONNECTIONS = 4;
const CONNECT_TIMEOUT_MS = 2000;
const OPERATIONS = [
  abi.VIRTIO_VSOCK_OP_REQUEST,
  abi.VIRTIO_VSOCK_OP_RESPONSE,
  abi.VIRTIO_VSOCK_OP_RST,
  abi.VIRTIO_VSOCK_OP_SHUTDOWN,
  abi.VIRTIO_VSOCK_OP_RW,
  abi.VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  abi.VIRTIO_VSOCK_OP_CREDIT_REQUEST,
];

function packet(operation: number, destinationPort: number, length: number): Uint8Array {
  return encodeHeader({
    sourceCid: BigInt(GUEST_CID),
    destinationCid: 2n,
    sourcePort: GUEST_PORT,
    destinationPort,
    length,
    type: abi.VIRTIO_VSOCK_TYPE_STREAM,
    operation,
    flags: 3,
    bufferSize: 4096,
    forwardedCount: 0,
  });
}

export const vsock: Subject = {
  name: 'vsock',
  eagerQueue: VSOCK_QUEUE.tx,
  openings: OPERATIONS.flatMap((operation) => [
    packet(operation, HOST_PORT, 0),
    packet(operation, HOST_PORT, 16),
    // The first port that a connection of the host's gets.
    packet(operation, 0x4000_0000, 0),
    packet(operation, HOST_PORT + 1, 0xffff_ffff),
  ]),
  create() {
    const host = new FakeVsockHost();
    const timers = new FakeTimers();
    const device = new VsockDevice({
      guestCid: GUEST_CID,
      host,
      timers,
      bufferSize: BUFFER_SIZE,
      maxConnections: MAX_CONNECTIONS,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
    });
    const streams = () => host.streams.filter((stream) => !stream.isDestroyed);
    return {
      device,
      act(choice, size) {
        const stream = streams()[choice % 3] ?? host.streams.at(-1);
        const actions = [
          () => stream?.events?.opened(),
          () => stream?.arrive(new Uint8Array(size).fill(1)),
          () => stream?.confirm(),
          () => {
            const toGuest = new FakeHostStream();
            host.streams.push(toGuest);
            const answer = { accepted: () => {}, refused: () => {} };
            toGuest.events = device.connectToGuest(GUEST_PORT, toGuest, answer);
          },
          () => stream?.finish(),
          () => stream?.events?.failed(new Error('broken')),
          () => timers.advance(CONNECT_TIMEOUT_MS),
        ];
        actions[choice % actions.length]?.();
      },
      release() {
        for (const stream of host.streams) stream.confirm();
      },
      received: () => host.streams.map(({ written }) => written),
      excess() {
        const open = streams().length;
        return open > MAX_CONNECTIONS ? `${open} streams of the host are open` : undefined;
      },
      async use(driver, settle) {
        const rx = driver.queue(VSOCK_QUEUE.rx);
        for (let index = 0; index < 4; index++) rx.push({ write: 1024 });
        rx.kick();
        const tx = driver.queue(VSOCK_QUEUE.tx);
        const before = host.streams.length;
        tx.push({ read: packet(abi.VIRTIO_VSOCK_OP_REQUEST, HOST_PORT + 7, 0) });
        tx.kick();
        await settle();
        host.latest.events?.opened();
        await settle();
        const answers = rx.takeUsed().map(({ bytes }) => decodeHeader(bytes));
        return (
          host.streams.length === before + 1 &&
          answers.some(
            ({ operation, sourcePort }) => operation === abi.VIRTIO_VSOCK_OP_RESPONSE && sourcePort === HOST_PORT + 7,
          )
        );
      },
    };
  },
};
