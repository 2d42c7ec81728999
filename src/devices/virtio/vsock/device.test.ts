import { describe, expect, test, vi } from 'vitest';
import {
  VIRTIO_VSOCK_OP_CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
} from '../abi.gen.ts';
import { Virtqueue } from '../queue.ts';
import { FakeHostStream } from '../testing/fake-vsock-host.ts';
import { GUEST_PORT, HOST_PORT, VsockGuest } from '../testing/vsock-guest.ts';
import { VSOCK_QUEUE, VsockDevice } from './device.ts';
import { HEADER_SIZE } from './request.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array): string => new TextDecoder().decode(data);
const BOTH = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;

function connected(options: ConstructorParameters<typeof VsockGuest>[0] = {}): VsockGuest {
  const guest = new VsockGuest(options);
  guest.connect();
  return guest;
}

/** A stream that the host opens to port 52 of the guest. */
function hostConnects(guest: VsockGuest) {
  const answer = { accepted: vi.fn(), refused: vi.fn() };
  const stream = new FakeHostStream();
  stream.events = guest.device.connectToGuest(52, stream, answer);
  return { stream, answer };
}

describe('the configuration space', () => {
  test('is the context id as a little-endian u64', () => {
    expect(new VsockGuest({ guestCid: 0x1234 }).device.configurationSpace).toEqual(
      Uint8Array.of(0x34, 0x12, 0, 0, 0, 0, 0, 0),
    );
  });

  test.each([0, 1, 2, 0xffff_ffff, 3.5])('cannot hold the reserved context id %d', (guestCid) => {
    const guest = new VsockGuest();
    expect(() => new VsockDevice({ guestCid, host: guest.host, timers: guest.timers })).toThrow(RangeError);
  });
});

describe('a connection that the guest opens', () => {
  test('is accepted once the host stream is open', () => {
    const guest = new VsockGuest();
    guest.send({ operation: VIRTIO_VSOCK_OP_REQUEST });
    expect(guest.host.latest.hostPort).toBe(HOST_PORT);
    expect(guest.receive()).toEqual([]);
    guest.host.latest.events?.opened();
    const [response] = guest.receive();
    expect(response?.header).toMatchObject({
      operation: VIRTIO_VSOCK_OP_RESPONSE,
      sourceCid: 2n,
      destinationCid: 3n,
      sourcePort: HOST_PORT,
      destinationPort: GUEST_PORT,
      bufferSize: 128 * 1024,
      forwardedCount: 0,
    });
  });

  test('is reset when nobody listens', () => {
    const guest = new VsockGuest();
    guest.send({ operation: VIRTIO_VSOCK_OP_REQUEST });
    guest.host.latest.events?.failed(new Error('ENOENT'));
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
  });

  test('is reset beyond the limit of connections, which a closed one frees', () => {
    const guest = connected({ maxConnections: 1 });
    guest.send({ operation: VIRTIO_VSOCK_OP_REQUEST, sourcePort: 6000 });
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
    guest.send({ operation: VIRTIO_VSOCK_OP_RST });
    guest.host.latest.confirm();
    guest.send({ operation: VIRTIO_VSOCK_OP_REQUEST, sourcePort: 6000 });
    expect(guest.host.streams).toHaveLength(2);
  });

  test('carries bytes both ways', () => {
    const guest = connected();
    guest.sendData(bytes('to the host'));
    guest.host.latest.arrive(bytes('to the guest'));
    expect(text(guest.host.latest.written)).toBe('to the host');
    expect(text(guest.receiveData())).toBe('to the guest');
  });

  test('is counted: packets, payload and connections', () => {
    const guest = connected({ maxConnections: 1 });
    guest.sendData(bytes('abc'));
    guest.host.latest.arrive(bytes('de'));
    guest.send({ operation: VIRTIO_VSOCK_OP_REQUEST, sourcePort: 6000 });
    hostConnects(guest);
    expect(guest.device.metrics()).toEqual({
      tx_packets: 3,
      tx_bytes: 3,
      rx_packets: 3,
      rx_bytes: 2,
      connections_from_guest: 1,
      connections_from_host: 0,
      refused_connections: 2,
    });
  });
});

describe('a connection that the host opens', () => {
  test('is requested from the guest and is up when it responds', () => {
    const guest = new VsockGuest();
    const { stream, answer } = hostConnects(guest);
    stream.arrive(bytes('early'));
    const [request] = guest.receive();
    expect(request?.header).toMatchObject({ operation: VIRTIO_VSOCK_OP_REQUEST, destinationPort: 52 });
    expect(answer.accepted).not.toHaveBeenCalled();
    const hostPort = request?.header.sourcePort ?? 0;
    guest.send({ operation: VIRTIO_VSOCK_OP_RESPONSE, sourcePort: 52, destinationPort: hostPort });
    expect(answer.accepted).toHaveBeenCalledExactlyOnceWith(hostPort);
    expect(text(guest.receiveData())).toBe('early');
  });

  test('is refused when the guest resets it', () => {
    const guest = new VsockGuest();
    const { stream, answer } = hostConnects(guest);
    const [request] = guest.receive();
    guest.send({
      operation: VIRTIO_VSOCK_OP_RST,
      sourcePort: 52,
      destinationPort: request?.header.sourcePort ?? 0,
    });
    expect(answer.refused).toHaveBeenCalledOnce();
    expect(stream.isDestroyed).toBe(true);
    expect(guest.receive()).toEqual([]);
  });

  test('is refused, and reset, when the guest does not answer in time', () => {
    const guest = new VsockGuest({ connectTimeoutMs: 100 });
    const { answer } = hostConnects(guest);
    guest.receive();
    guest.timers.advance(100);
    expect(answer.refused).toHaveBeenCalledOnce();
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
  });

  test('is refused at once while no driver is up', () => {
    const guest = new VsockGuest();
    guest.machine.driver.reset();
    const { stream, answer } = hostConnects(guest);
    expect(answer.refused).toHaveBeenCalledOnce();
    expect(stream.isDestroyed).toBe(true);
  });

  test('gets a port of its own each time', () => {
    const guest = new VsockGuest();
    hostConnects(guest);
    hostConnects(guest);
    const ports = guest.receive().map(({ header }) => header.sourcePort);
    expect(new Set(ports).size).toBe(2);
  });
});

describe('credit', () => {
  test('the device sends no more than the guest has room for, asks once, and goes on when there is more', () => {
    const guest = new VsockGuest();
    guest.connect({ bufferSize: 10 });
    guest.host.latest.arrive(bytes('0123456789abc'));
    const first = guest.receive();
    expect(first.map(({ header }) => header.operation)).toEqual([VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_CREDIT_REQUEST]);
    expect(text(first[0]?.payload ?? new Uint8Array())).toBe('0123456789');
    guest.send({ operation: VIRTIO_VSOCK_OP_CREDIT_UPDATE, bufferSize: 10, forwardedCount: 10 });
    expect(text(guest.receiveData())).toBe('abc');
  });

  test('a counter that runs over 2^32 is still right', () => {
    const guest = new VsockGuest();
    guest.connect({ bufferSize: 10, forwardedCount: 0xffff_fffa });
    guest.host.latest.arrive(bytes('0123456789'));
    expect(text(guest.receiveData())).toBe('0123');
  });

  test('what the host has not taken yet is not announced as free', () => {
    const guest = connected({ bufferSize: 8 });
    guest.sendData(bytes('01234567'));
    guest.send({ operation: VIRTIO_VSOCK_OP_CREDIT_REQUEST });
    expect(guest.receive()[0]?.header).toMatchObject({ operation: VIRTIO_VSOCK_OP_CREDIT_UPDATE, forwardedCount: 0 });
    guest.host.latest.confirm();
    expect(guest.receive()[0]?.header).toMatchObject({ operation: VIRTIO_VSOCK_OP_CREDIT_UPDATE, forwardedCount: 8 });
  });

  test('small writes cause no credit updates of their own', () => {
    const guest = connected();
    guest.sendData(bytes('x'));
    guest.host.latest.confirm();
    expect(guest.receive()).toEqual([]);
  });

  test('a guest that sends beyond its credit is reset', () => {
    const guest = connected({ bufferSize: 8 });
    guest.sendData(bytes('01234567'));
    guest.sendData(bytes('8'));
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
    expect(text(guest.host.latest.written)).toBe('01234567');
  });
});

describe('closing', () => {
  test('the end of the host stream is a SHUTDOWN of its direction, behind its data', () => {
    const guest = connected();
    guest.host.latest.ended = true;
    guest.host.latest.arrive(bytes('last'));
    const packets = guest.receive();
    expect(packets.map(({ header }) => [header.operation, header.flags])).toEqual([
      [VIRTIO_VSOCK_OP_RW, 0],
      [VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND],
    ]);
    guest.sendData(bytes('still open'));
    expect(text(guest.host.latest.written)).toBe('still open');
  });

  test('a guest that sends no more ends the host stream and still receives', () => {
    const guest = connected();
    guest.sendData(bytes('question'));
    guest.send({ operation: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_SEND });
    expect(guest.host.latest.isEnded).toBe(true);
    guest.host.latest.arrive(bytes('answer'));
    expect(text(guest.receiveData())).toBe('answer');
  });

  test('a guest that sends after it said it would not is reset', () => {
    const guest = connected();
    guest.send({ operation: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_SEND });
    guest.sendData(bytes('more'));
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
  });

  test('a guest that receives no more gets no more data', () => {
    const guest = connected();
    guest.send({ operation: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_RCV });
    guest.host.latest.arrive(bytes('data'));
    expect(guest.receive()).toEqual([]);
  });

  test('a shutdown of both directions, at once or in turn, is answered with RST; the last bytes still reach the host', () => {
    const guest = connected();
    guest.sendData(bytes('bye'));
    guest.send({ operation: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_SEND });
    guest.send({ operation: VIRTIO_VSOCK_OP_SHUTDOWN, flags: VIRTIO_VSOCK_SHUTDOWN_RCV });
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
    expect(guest.host.latest.isDestroyed).toBe(false);
    guest.host.latest.confirm();
    expect(guest.host.latest.isDestroyed).toBe(true);
    expect(text(guest.host.latest.written)).toBe('bye');
  });

  test('the ports can be used again right after', () => {
    const guest = connected();
    guest.send({ operation: VIRTIO_VSOCK_OP_SHUTDOWN, flags: BOTH });
    guest.receive();
    guest.connect();
    guest.sendData(bytes('again'));
    expect(text(guest.host.latest.written)).toBe('again');
  });

  test('a stream that breaks resets the connection', () => {
    const guest = connected();
    guest.host.latest.events?.failed(new Error('EPIPE'));
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
  });

  test('a reset of the device ends every stream', () => {
    const guest = connected();
    guest.machine.driver.reset();
    guest.host.latest.confirm();
    expect(guest.host.latest.isDestroyed).toBe(true);
  });
});

describe('packets that make no sense', () => {
  test.each([
    ['data without a connection', { operation: VIRTIO_VSOCK_OP_RW }],
    ['another type', { operation: VIRTIO_VSOCK_OP_REQUEST, type: VIRTIO_VSOCK_TYPE_SEQPACKET }],
    ['another host', { operation: VIRTIO_VSOCK_OP_REQUEST, destinationCid: 77n }],
  ])('%s is answered with RST', (_, fields) => {
    const guest = new VsockGuest();
    guest.send(fields);
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
  });

  test.each([
    ['a RST without a connection', { operation: VIRTIO_VSOCK_OP_RST }],
    ['a source that is not the guest', { operation: VIRTIO_VSOCK_OP_REQUEST, sourceCid: 9n }],
  ])('%s is ignored', (_, fields) => {
    const guest = new VsockGuest();
    guest.send(fields);
    expect(guest.receive()).toEqual([]);
    expect(guest.host.streams).toEqual([]);
  });

  test.each([
    ['a second REQUEST', { operation: VIRTIO_VSOCK_OP_REQUEST }],
    ['a RESPONSE', { operation: VIRTIO_VSOCK_OP_RESPONSE }],
    ['an unknown operation', { operation: 99 }],
    ['a length beyond the buffer', { operation: VIRTIO_VSOCK_OP_RW, length: 100 }],
  ])('%s on a connection resets it', (_, fields) => {
    const guest = connected();
    guest.send(fields);
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
  });

  test('a tx buffer without a whole header fails the device', () => {
    const guest = new VsockGuest();
    const tx = guest.machine.driver.queue(VSOCK_QUEUE.tx);
    tx.push({ read: new Uint8Array(43) });
    tx.kick();
    expect(guest.machine.transport.state.kind).toBe('failed');
  });

  test('an rx buffer too small for a packet fails the device', () => {
    const guest = new VsockGuest({}, 0);
    guest.offerBuffers(1, 44);
    guest.send({ operation: VIRTIO_VSOCK_OP_RW });
    expect(guest.machine.transport.state.kind).toBe('failed');
  });
});

describe('a guest that offers no rx buffers', () => {
  test('is not read from any more once the replies it must get fill their list, and goes on when it offers some', () => {
    const guest = new VsockGuest({}, 0);
    const tx = guest.machine.driver.queue(VSOCK_QUEUE.tx);
    for (let index = 0; index < 100; index++) guest.send({ operation: VIRTIO_VSOCK_OP_RW, sourcePort: index });
    expect(tx.freeDescriptors).toBe(256 - (100 - 64));
    guest.offerBuffers(100);
    guest.machine.runDeferred();
    expect(guest.receiveOperations()).toHaveLength(100);
    tx.takeUsed();
    expect(tx.freeDescriptors).toBe(256);
  });

  test('leaves the host bytes with the host', () => {
    const guest = new VsockGuest({}, 1);
    guest.send({ operation: VIRTIO_VSOCK_OP_REQUEST });
    guest.host.latest.events?.opened();
    guest.host.latest.arrive(bytes('waits'));
    expect(guest.host.latest.readableLength).toBe(5);
    guest.receive();
    expect(text(guest.receiveData())).toBe('waits');
  });
});

describe('a guest that sends byte by byte', () => {
  const SENT = 1000;
  const sendBytes = (guest: VsockGuest): Uint8Array => {
    const all = Uint8Array.from({ length: SENT }, (_, index) => index & 0xff);
    for (const byte of all) guest.sendData(Uint8Array.of(byte));
    return all;
  };

  test('to a host that does not read costs one write in flight, and loses nothing', () => {
    const guest = connected();
    const write = vi.spyOn(guest.host.latest, 'write');
    const all = sendBytes(guest);
    expect(write).toHaveBeenCalledTimes(1);
    guest.host.latest.confirm();
    expect(write).toHaveBeenCalledTimes(2);
    guest.host.latest.confirm();
    expect(guest.host.latest.written).toEqual(all);
    guest.send({ operation: VIRTIO_VSOCK_OP_CREDIT_REQUEST });
    expect(guest.receive().at(-1)?.header.forwardedCount).toBe(SENT);
  });

  test.each([BOTH, VIRTIO_VSOCK_SHUTDOWN_SEND])('and then shuts down (flags %d) has all of it passed on', (flags) => {
    const guest = connected();
    const { latest } = guest.host;
    const all = sendBytes(guest);
    guest.send({ operation: VIRTIO_VSOCK_OP_SHUTDOWN, flags });
    expect(latest.written).toEqual(all);
    expect(latest.isEnded).toBe(true);
  });
});

test('a guest that offers rx buffers as fast as they are filled gets one ring per turn', () => {
  const guest = connected();
  guest.receive();
  const original = Virtqueue.prototype.putUsed;
  const putUsed = vi.spyOn(Virtqueue.prototype, 'putUsed').mockImplementation(function (this: Virtqueue, ...args) {
    original.apply(this, args);
    guest.machine.driver.queue(VSOCK_QUEUE.rx).takeUsed();
    guest.offerBuffers(1, HEADER_SIZE + 1);
  });
  try {
    guest.host.latest.arrive(new Uint8Array(40_000));
    const ring = guest.device.queueSizes[VSOCK_QUEUE.rx] ?? 0;
    expect(putUsed).toHaveBeenCalledTimes(ring);
    expect(guest.machine.runDeferred()).toBe(1);
    expect(putUsed).toHaveBeenCalledTimes(2 * ring);
  } finally {
    putUsed.mockRestore();
  }
});

test('two connections take turns', () => {
  const guest = connected();
  const first = guest.host.latest;
  guest.connect({ sourcePort: 6000 });
  const second = guest.host.latest;
  guest.machine.driver.queue(VSOCK_QUEUE.rx);
  first.arrive(new Uint8Array(40_000));
  second.arrive(bytes('quick'));
  const order = [guest.receive(), guest.receive()].flat().map(({ header }) => header.destinationPort);
  expect(order.indexOf(6000)).toBeLessThan(10);
  expect(order.filter((port) => port === 6000)).toHaveLength(1);
});

describe('restored from a snapshot', () => {
  const TRANSPORT_RESET = Uint8Array.of(0, 0, 0, 0);
  const eventsOf = (guest: VsockGuest) => guest.machine.driver.queue(VSOCK_QUEUE.event);

  /** A guest with a connection and Linux' event buffers, on another host. */
  async function restored(eventBuffers = 8): Promise<VsockGuest> {
    const guest = connected();
    for (let index = 0; index < eventBuffers; index++) eventsOf(guest).push({ write: 4 });
    await guest.move();
    guest.machine.transport.resume();
    return guest;
  }

  test('the driver is told that the transport was reset, once', async () => {
    const guest = await restored();
    expect(
      eventsOf(guest)
        .takeUsed()
        .map(({ bytes: event }) => event),
    ).toEqual([TRANSPORT_RESET]);
    eventsOf(guest).push({ write: 4 });
    eventsOf(guest).kick();
    guest.machine.runDeferred();
    expect(eventsOf(guest).takeUsed()).toEqual([]);
    expect(guest.machine.interrupts).toBeGreaterThan(0);
  });

  test('the driver is told as soon as it offers a buffer', async () => {
    const guest = await restored(0);
    eventsOf(guest).push({ write: 4 });
    expect(eventsOf(guest).wantsKick()).toBe(true);
    eventsOf(guest).kick();
    expect(
      eventsOf(guest)
        .takeUsed()
        .map(({ bytes: event }) => event),
    ).toEqual([TRANSPORT_RESET]);
  });

  test('a connection of before is answered with RST, a new one is made', async () => {
    const guest = await restored();
    guest.sendData(bytes('x'));
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RST]);
    guest.send({ operation: VIRTIO_VSOCK_OP_REQUEST, sourcePort: 6000 });
    guest.host.latest.events?.opened();
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_RESPONSE]);
  });

  test('the streams of before are closed', async () => {
    const guest = connected();
    const { latest } = guest.host;
    await guest.move();
    latest.confirm();
    expect(latest.isDestroyed).toBe(true);
  });

  test("the host's connections wait until the driver has read the reset, which would end them", async () => {
    const guest = await restored();
    hostConnects(guest);
    expect(guest.receive()).toEqual([]);
    eventsOf(guest).takeUsed();
    expect(eventsOf(guest).wantsKick()).toBe(false);
    eventsOf(guest).push({ write: 4 });
    expect(eventsOf(guest).wantsKick()).toBe(true);
    eventsOf(guest).kick();
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_REQUEST]);
  });

  test("the host's connections wait no longer than a driver needs that does not put the buffer back", async () => {
    const guest = await restored();
    hostConnects(guest);
    guest.timers.advance(999);
    expect(guest.receive()).toEqual([]);
    guest.timers.advance(1);
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_REQUEST]);
  });

  test('a host that connects while the device is at rest is served afterwards', async () => {
    const guest = connected();
    eventsOf(guest).push({ write: 4 });
    await guest.move();
    const { answer } = hostConnects(guest);
    guest.machine.transport.resume();
    eventsOf(guest).push({ write: 4 });
    eventsOf(guest).kick();
    expect(guest.receiveOperations()).toEqual([VIRTIO_VSOCK_OP_REQUEST]);
    expect(answer.refused).not.toHaveBeenCalled();
  });

  test('ports of connections of before are not used again, nor is the event lost by a second snapshot', async () => {
    const guest = new VsockGuest();
    hostConnects(guest);
    const [before] = guest.receive();
    await guest.move();
    guest.machine.transport.resume();
    await guest.move();
    guest.machine.transport.resume();
    for (let index = 0; index < 2; index++) {
      eventsOf(guest).push({ write: 4 });
      eventsOf(guest).kick();
    }
    expect(eventsOf(guest).takeUsed()).toHaveLength(1);
    hostConnects(guest);
    const [after] = guest.receive();
    expect(after?.header.sourcePort).toBe((before?.header.sourcePort ?? 0) + 1);
  });

  test('an event buffer that is too small fails the device', async () => {
    const guest = await restored(0);
    eventsOf(guest).push({ write: 3 });
    eventsOf(guest).kick();
    expect(guest.machine.transport.state.kind).toBe('failed');
  });

  test.each([undefined, '5', 1.5, 0x3fff_ffff, 0x8000_0000])(
    'a state with the next port %j is refused',
    async (port) => {
      const guest = new VsockGuest();
      await guest.machine.transport.quiesce();
      const snapshot = { ...guest.machine.transport.saveState(), device: { nextHostPort: port } };
      const other = new VsockGuest().machine;
      other.driver.reset();
      expect(() => other.transport.restoreState(snapshot)).toThrow('no port for the next connection');
    },
  );
});

test('a paused device goes on with its connections', async () => {
  const guest = connected();
  await guest.machine.transport.quiesce();
  guest.host.latest.arrive(bytes('late'));
  guest.sendData(bytes('also late'));
  expect(guest.receive()).toEqual([]);
  guest.machine.transport.resume();
  expect(text(guest.receiveData())).toBe('late');
  expect(text(guest.host.latest.written)).toBe('also late');
});
