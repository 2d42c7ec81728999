import { describe, expect, test } from 'vitest';
import {
  VIRTIO_F_VERSION_1,
  VIRTIO_MMIO_CONFIG,
  VIRTIO_MMIO_INT_CONFIG,
  VIRTIO_MMIO_INTERRUPT_STATUS,
  VIRTIO_NET_CTRL_ANNOUNCE,
  VIRTIO_NET_CTRL_ANNOUNCE_ACK,
  VIRTIO_NET_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
  VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MAC_ADDR_SET,
  VIRTIO_NET_CTRL_MAC_TABLE_SET,
  VIRTIO_NET_CTRL_RX,
  VIRTIO_NET_ERR,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_UFO,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_STATUS,
  VIRTIO_NET_HDR_F_DATA_VALID,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP,
  VIRTIO_NET_HDR_GSO_UDP_L4,
  VIRTIO_NET_OK,
  VIRTIO_NET_S_ANNOUNCE,
  VIRTIO_NET_S_LINK_UP,
  virtio_net_config,
  virtio_net_hdr_v1,
} from '../abi.gen.ts';
import { featureSet, hasFeature } from '../features.ts';
import { RateLimiter } from '../rate-limiter.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { MODERN } from '../testing/mock-driver.ts';
import { CHECKSUM_HEADER, EVERY_OFFLOAD, FakeNetwork, GUEST_MAC, NetGuest, netHeader } from '../testing/net-guest.ts';
import { RecordingServer } from '../testing/recording-server.ts';
import { NET_QUEUE, NetDevice } from './device.ts';
import { NO_OFFLOADS } from './offloads.ts';
import { HEADER_SIZE, MAX_FRAME_SIZE } from './packet.ts';

/** Room of Linux' mergeable buffers, about. */
const BUFFER = 1536;

function frame(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + seed) & 0xff);
}

/** Bytes of the configuration space as the driver reads them. */
function config(guest: Pick<NetGuest, 'machine'>, offset: number, length: number): Uint8Array {
  return guest.machine.transport.read(VIRTIO_MMIO_CONFIG + offset, length).slice();
}

function status(guest: Pick<NetGuest, 'machine'>): number {
  return config(guest, virtio_net_config.status, 1)[0] ?? 0;
}

describe('a network device', () => {
  test('tells its address, its MTU and that its link is up', () => {
    const guest = new NetGuest({ device: { mtu: 9000 } });
    expect(config(guest, virtio_net_config.mac, 6)).toEqual(GUEST_MAC);
    expect(config(guest, virtio_net_config.mtu, 2)).toEqual(Uint8Array.of(0x28, 0x23));
    expect(status(guest)).toBe(VIRTIO_NET_S_LINK_UP);
    expect(hasFeature(guest.device.features, VIRTIO_NET_F_MTU)).toBe(true);
  });

  test('offers the offloads that its back end has, and their commands', () => {
    const plain = new NetGuest({ network: new FakeNetwork(NO_OFFLOADS) });
    const checksums = new NetGuest({ network: new FakeNetwork({ ...NO_OFFLOADS, checksum: true }) });
    const offers = (guest: NetGuest) =>
      [VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_UFO].map((bit) =>
        hasFeature(guest.device.features, bit),
      );
    expect(offers(plain)).toEqual([false, false, false, false]);
    expect(offers(checksums)).toEqual([true, true, false, false]);
    expect(offers(new NetGuest())).toEqual([true, true, true, false]);
  });

  test.each([Uint8Array.of(1, 0, 0, 0, 0, 1), new Uint8Array(6), new Uint8Array(5)])('%s is no address', (mac) => {
    expect(() => new NetDevice({ name: 'eth0', mac })).toThrow('no MAC address of a single station');
  });

  test.each([67, 65536, 1500.5])('an MTU of %d is refused', (mtu) => {
    expect(() => new NetDevice({ name: 'eth0', mac: GUEST_MAC, mtu })).toThrow('use 68 to 65535');
  });

  test('tells its back end what the driver takes unfinished, prerequisites included', () => {
    expect(new NetGuest().network.guestOffloads).toEqual(EVERY_OFFLOAD);
    expect(new NetGuest({ refuse: [VIRTIO_NET_F_GUEST_CSUM] }).network.guestOffloads).toEqual(NO_OFFLOADS);
    expect(new NetGuest({ refuse: [VIRTIO_NET_F_GUEST_TSO4] }).network.guestOffloads).toMatchObject({ tso4: false });
  });
});

describe('frames for the guest', () => {
  test('arrive in one buffer each where they fit, and interrupt once a batch', () => {
    const guest = new NetGuest();
    guest.offer(64, BUFFER);
    const before = guest.machine.interrupts;
    guest.network.arrive(frame(60), frame(1514), frame(61));
    expect(guest.receive()).toEqual([
      { buffers: 1, frame: frame(60) },
      { buffers: 1, frame: frame(1514) },
      { buffers: 1, frame: frame(61) },
    ]);
    expect(guest.machine.interrupts - before).toBe(1);
  });

  test('fill as many buffers as they need', () => {
    const guest = new NetGuest();
    guest.offer(90, 20, BUFFER - 20);
    guest.network.arrive(frame(65_000), frame(100));
    expect(guest.receive()).toEqual([
      { buffers: 43, frame: frame(65_000) },
      { buffers: 1, frame: frame(100) },
    ]);
  });

  test('wait with the back end until the guest has room for the largest one', () => {
    const guest = new NetGuest();
    guest.offer(2, BUFFER);
    guest.network.arrive(frame(60));
    expect(guest.receive()).toEqual([]);
    expect(guest.network.isAwaited).toBe(false);
    expect(guest.network.reads).toBe(0);
    guest.offer(42, BUFFER);
    expect(guest.receive()).toEqual([{ buffers: 1, frame: frame(60) }]);
    expect(guest.network.isAwaited).toBe(true);
  });

  test('go into a ring that is full though it has less room than the largest one needs', () => {
    const guest = new NetGuest({ queueSize: 4 });
    guest.offer(4, BUFFER);
    guest.network.arrive(frame(60), frame(4 * BUFFER));
    expect(guest.receive()).toEqual([{ buffers: 1, frame: frame(60) }]);
    guest.offer(1, BUFFER);
    expect(guest.receive()).toEqual([]);
    expect(guest.device.metrics()).toMatchObject({ received_packets: 1, received_dropped_packets: 1 });
  });

  test('have one chain of buffers without VIRTIO_NET_F_MRG_RXBUF, and are dropped where they do not fit', () => {
    const guest = new NetGuest({ refuse: [VIRTIO_NET_F_MRG_RXBUF] });
    guest.offer(2, HEADER_SIZE, 1514);
    guest.network.arrive(frame(1515), frame(1514));
    expect(guest.receive()).toEqual([{ buffers: 1, frame: frame(1514) }]);
    expect(guest.device.metrics()).toMatchObject({
      received_packets: 1,
      received_bytes: 1514,
      received_dropped_packets: 1,
    });
  });

  test('need room for the MTU only where no larger ones come', () => {
    const guest = new NetGuest({ network: new FakeNetwork(NO_OFFLOADS), device: { mtu: 1500 } });
    guest.offer(1, BUFFER);
    guest.network.arrive(frame(60), frame(60));
    expect(guest.receive()).toHaveLength(1);
    expect(guest.network.pending).toBe(1);
  });

  test('come in turns of the event loop when there are many', () => {
    const guest = new NetGuest({ network: new FakeNetwork(NO_OFFLOADS), device: { mtu: 1500 } });
    guest.offer(256, BUFFER);
    guest.network.arrive(...Array.from({ length: 200 }, () => frame(60)));
    guest.receive();
    guest.offer(200, BUFFER);
    guest.network.arrive(...Array.from({ length: 256 }, () => frame(60)));
    expect(guest.receive()).toHaveLength(256);
  });

  test('are not looked for twice where the first look waits already', () => {
    const guest = new NetGuest();
    guest.offer(64, BUFFER);
    const before = guest.network.reads;
    guest.network.arrive(frame(60));
    expect(guest.network.reads - before).toBe(2);
    expect(guest.network.tell()).toBe(0);
  });

  test.each([
    ['readable', [{ read: new Uint8Array(64) }, { write: 64 }]],
    ['too small for a header', [{ write: HEADER_SIZE - 1 }]],
  ] as const)('a buffer that is %s fails the device', (_, parts) => {
    const guest = new NetGuest();
    const queue = guest.machine.driver.queue(NET_QUEUE.receive);
    queue.push(...parts);
    queue.kick();
    expect(guest.machine.transport.state.kind).toBe('failed');
    expect(guest.network.isAwaited).toBe(false);
  });
});

describe('frames of the guest', () => {
  test.each([
    ['in a buffer of their own', [{ read: new Uint8Array(HEADER_SIZE) }, { read: frame(60) }]],
    ['behind their header', [{ read: Uint8Array.of(...new Uint8Array(HEADER_SIZE), ...frame(60)) }]],
    [
      'in pieces',
      [
        { read: new Uint8Array(5) },
        { read: Uint8Array.of(...new Uint8Array(HEADER_SIZE - 5), ...frame(60).subarray(0, 3)) },
        { read: frame(60).subarray(3) },
      ],
    ],
  ] as const)('are sent %s', (_, parts) => {
    const guest = new NetGuest();
    guest.sendParts(...parts);
    expect(guest.network.sent).toEqual([{ header: new Uint8Array(HEADER_SIZE), frame: frame(60) }]);
    expect(guest.returned).toBe(1);
  });

  test('wait for room, in order, and go on by themselves', () => {
    const guest = new NetGuest();
    guest.network.isFull = true;
    for (const length of [60, 61, 62]) guest.send(frame(length));
    expect(guest.returned).toBe(0);
    guest.network.isFull = false;
    guest.network.tell();
    expect(guest.network.sent.map((sent) => sent.frame.length)).toEqual([60, 61, 62]);
    expect(guest.returned).toBe(3);
  });

  test.each([
    ['shorter than an Ethernet header', frame(13), undefined],
    ['empty', new Uint8Array(0), undefined],
    ['longer than any packet', frame(MAX_FRAME_SIZE + 1), undefined],
    ['with a checksum behind its end', frame(60), netHeader({ flags: 1, checksumStart: 50, checksumOffset: 9 })],
    ['with a checksum over its Ethernet header', frame(60), netHeader({ flags: 1, checksumStart: 13 })],
    ['to be cut into segments of nothing', frame(60), netHeader({ flags: 1, checksumStart: 34, gsoType: 1 })],
    ['to be cut without a checksum', frame(60), netHeader({ gsoType: 1, gsoSize: 20 })],
    [
      'with headers longer than itself',
      frame(60),
      netHeader({ flags: 1, checksumStart: 34, gsoType: 1, gsoSize: 20, headerLength: 61 }),
    ],
    [
      'to be cut in a way that was not negotiated',
      frame(60),
      netHeader({ flags: 1, checksumStart: 34, gsoType: VIRTIO_NET_HDR_GSO_UDP, gsoSize: 20 }),
    ],
    ['to be cut in no known way', frame(60), netHeader({ flags: 1, checksumStart: 34, gsoType: 77, gsoSize: 20 })],
  ])('are dropped when %s', (_, bytes, header) => {
    const guest = new NetGuest();
    guest.sendParts({ read: header ?? new Uint8Array(HEADER_SIZE) }, ...(bytes.length === 0 ? [] : [{ read: bytes }]));
    guest.send(frame(60));
    expect(guest.network.sent).toEqual([{ header: new Uint8Array(HEADER_SIZE), frame: frame(60) }]);
    expect(guest.returned).toBe(2);
    expect(guest.device.metrics()).toMatchObject({ sent_packets: 1, sent_bytes: 60, sent_dropped_packets: 1 });
  });

  test.each([
    VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6,
    VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
    VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN,
    VIRTIO_NET_HDR_GSO_UDP_L4,
  ])('may be 64 KiB, to be cut by the network: gso_type %i', (gsoType) => {
    const guest = new NetGuest();
    const header = netHeader({
      flags: VIRTIO_NET_HDR_F_NEEDS_CSUM,
      checksumStart: 34,
      checksumOffset: 16,
      gsoType,
      gsoSize: 1448,
      headerLength: 66,
    });
    guest.send(frame(MAX_FRAME_SIZE), header);
    expect(guest.network.sent).toEqual([{ header, frame: frame(MAX_FRAME_SIZE) }]);
  });

  test('lose what only a device may say, and what was not negotiated', () => {
    const everything = netHeader({
      flags: VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID | 0x80,
      checksumStart: 34,
      checksumOffset: 16,
      bufferCount: 7,
      gsoSize: 9,
      headerLength: 9,
    });
    const negotiated = new NetGuest();
    negotiated.send(frame(60), everything);
    expect(negotiated.network.sent[0]?.header).toEqual(CHECKSUM_HEADER);
    const plain = new NetGuest({ refuse: [VIRTIO_NET_F_CSUM, VIRTIO_NET_F_HOST_TSO4] });
    plain.send(frame(60), everything);
    expect(plain.network.sent[0]?.header).toEqual(new Uint8Array(HEADER_SIZE));
  });

  test('keep the header that was checked, whatever the guest does to its own afterwards', () => {
    const guest = new NetGuest();
    guest.network.isFull = true;
    guest.send(frame(60), CHECKSUM_HEADER);
    const queue = guest.machine.driver.queue(NET_QUEUE.transmit);
    const address = Number(guest.machine.memory.readU64(queue.descriptorTable));
    guest.machine.memory.write(address, netHeader({ flags: 1, checksumStart: 60_000 }));
    guest.network.isFull = false;
    guest.network.tell();
    expect(guest.network.sent).toEqual([]);
    expect(guest.returned).toBe(1);
  });

  test.each([
    ['shorter than a header', [{ read: new Uint8Array(HEADER_SIZE - 1) }]],
    ['writable', [{ read: new Uint8Array(72) }, { write: 10 }]],
  ] as const)('a buffer that is %s fails the device', (_, parts) => {
    const guest = new NetGuest();
    guest.sendParts(...parts);
    expect(guest.machine.transport.state.kind).toBe('failed');
  });
});

describe('the link', () => {
  test('goes down and up while the guest runs', () => {
    const guest = new NetGuest();
    guest.offer(64, BUFFER);
    guest.device.setLink(false);
    guest.machine.runDeferred();
    expect(status(guest)).toBe(0);
    expect(guest.machine.driver.readRegister(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG).not.toBe(0);
    guest.network.arrive(frame(60));
    guest.send(frame(60));
    expect([guest.receive().length, guest.network.sent.length, guest.returned]).toEqual([0, 0, 1]);
    guest.device.setLink(true);
    guest.machine.runDeferred();
    guest.send(frame(61));
    expect([guest.receive().length, guest.network.sent.length]).toEqual([1, 1]);
  });

  test('is down for a device without a back end, which drops what is sent', () => {
    const guest = new NetGuest({ device: { backend: undefined } });
    guest.send(frame(60));
    guest.device.setLink(true);
    expect(guest.device.isUp).toBe(false);
    expect(status(guest)).toBe(0);
    expect(guest.returned).toBe(1);
  });

  test('comes with a back end that is connected later', () => {
    const guest = new NetGuest({ device: { backend: undefined, offloads: EVERY_OFFLOAD } });
    const network = new FakeNetwork();
    guest.offer(64, BUFFER);
    guest.device.connect(network);
    guest.machine.runDeferred();
    network.arrive(frame(60));
    guest.send(frame(61));
    expect(status(guest)).toBe(VIRTIO_NET_S_LINK_UP);
    expect(network.guestOffloads).toEqual(EVERY_OFFLOAD);
    expect([guest.receive().length, network.sent.length]).toEqual([1, 1]);
    expect(() => guest.device.connect(network)).toThrow('is connected');
  });

  test('takes no back end that can do less than was promised', () => {
    const guest = new NetGuest({ device: { backend: undefined, offloads: EVERY_OFFLOAD } });
    const network = new FakeNetwork({ ...EVERY_OFFLOAD, uso: false });
    expect(() => guest.device.connect(network)).toThrow('cannot do uso');
  });

  test.each([
    ['receiving', (guest: NetGuest) => guest.network.arrive(frame(60))],
    ['sending', (guest: NetGuest) => guest.send(frame(60))],
  ])('goes down when the back end fails while %s', (_, act) => {
    const guest = new NetGuest();
    guest.offer(64, BUFFER);
    guest.network.failure = new Error('gone');
    act(guest);
    guest.machine.runDeferred();
    guest.send(frame(60));
    expect(guest.errors).toEqual([guest.network.failure]);
    expect(status(guest)).toBe(0);
    expect(guest.network.isAwaited).toBe(false);
    expect(guest.machine.transport.state.kind).toBe('active');
  });

  test('that changed before there was a driver is news to it', () => {
    const guest = new NetGuest();
    guest.machine.driver.reset();
    guest.device.setLink(false);
    guest.machine.driver.start();
    guest.machine.runDeferred();
    expect(status(guest)).toBe(0);
  });

  test('a reset stops everything', () => {
    const guest = new NetGuest();
    guest.offer(64, BUFFER);
    guest.machine.driver.reset();
    guest.network.arrive(frame(60));
    expect(guest.network.isAwaited).toBe(false);
    expect(guest.network.pending).toBe(1);
  });
});

describe('commands', () => {
  const other = Uint8Array.of(0x02, 0, 0, 0, 0, 9);

  test('change the address, until the next driver', () => {
    const guest = new NetGuest();
    expect(guest.command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other)).toBe(VIRTIO_NET_OK);
    expect(config(guest, virtio_net_config.mac, 6)).toEqual(other);
    guest.machine.driver.reset();
    expect(config(guest, virtio_net_config.mac, 6)).toEqual(GUEST_MAC);
  });

  test('change what the guest takes unfinished', () => {
    const guest = new NetGuest();
    const bits = new Uint8Array(new BigUint64Array([featureSet(VIRTIO_NET_F_GUEST_CSUM)]).buffer);
    expect(guest.command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, bits)).toBe(VIRTIO_NET_OK);
    expect(guest.network.guestOffloads).toEqual({ ...NO_OFFLOADS, checksum: true });
  });

  test.each([
    ['an address of a group', VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, Uint8Array.of(1, 0, 0, 0, 0, 1)],
    ['an address of five bytes', VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other.subarray(1)],
    ['a table of addresses', VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, new Uint8Array(8)],
    ['a filter', VIRTIO_NET_CTRL_RX, 0, Uint8Array.of(1)],
    [
      'offloads that there are not',
      VIRTIO_NET_CTRL_GUEST_OFFLOADS,
      VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
      new Uint8Array(8).fill(0xff),
    ],
    ['nothing known', 0xff, 0xff, new Uint8Array(0)],
  ])('are refused: %s', (_, commandClass, command, parameters) => {
    const guest = new NetGuest();
    expect(guest.command(commandClass, command, parameters)).toBe(VIRTIO_NET_ERR);
    expect(config(guest, virtio_net_config.mac, 6)).toEqual(GUEST_MAC);
    expect(guest.network.guestOffloads).toEqual(EVERY_OFFLOAD);
  });

  test('without room for the answer fail the device', () => {
    const guest = new NetGuest();
    const queue = guest.machine.driver.queue(NET_QUEUE.control);
    queue.push({ read: new Uint8Array(2) });
    queue.kick();
    expect(guest.machine.transport.state.kind).toBe('failed');
  });

  test('are none for a driver that did not ask for their queue', () => {
    const guest = new NetGuest({ refuse: [VIRTIO_NET_F_CTRL_VQ] });
    expect(guest.command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other)).toBeUndefined();
  });
});

describe('rate limits', () => {
  const clock = () => new FakeClock();
  const LIMITS = { bytes: { size: 1000, refillTimeMs: 100 } };

  test('hold back what the guest sends', () => {
    const time = clock();
    const guest = new NetGuest({ device: { transmitLimiter: new RateLimiter(LIMITS, time) } });
    for (let index = 0; index < 4; index++) guest.send(frame(500));
    expect(guest.network.sent).toHaveLength(2);
    time.advance(1);
    expect(guest.network.sent).toHaveLength(3);
    time.advance(1000);
    expect(guest.network.sent).toHaveLength(4);
    expect(guest.device.metrics()).toMatchObject({ send_throttled_events: 2 });
  });

  test('hold back what it receives, in the back end', () => {
    const time = clock();
    const guest = new NetGuest({ device: { receiveLimiter: new RateLimiter(LIMITS, time) } });
    guest.offer(64, BUFFER);
    guest.network.arrive(frame(999), frame(999), frame(60));
    expect(guest.receive()).toHaveLength(2);
    expect(guest.network.pending).toBe(1);
    expect(guest.network.isAwaited).toBe(false);
    time.advance(1000);
    expect(guest.receive()).toHaveLength(1);
    expect(guest.device.metrics()).toMatchObject({ receive_throttled_events: 1 });
  });

  test('are not refilled by a reset', () => {
    const guest = new NetGuest({ device: { transmitLimiter: new RateLimiter(LIMITS, clock()) } });
    guest.send(frame(1000));
    guest.machine.driver.reset();
    guest.machine.driver.start();
    guest.send(frame(60));
    expect(guest.network.sent).toHaveLength(1);
  });
});

describe('at rest', () => {
  test('nothing is taken from either side, and all goes on afterwards', async () => {
    const guest = new NetGuest();
    guest.offer(64, BUFFER);
    guest.network.isFull = true;
    guest.send(frame(60));
    await guest.machine.transport.quiesce();
    guest.network.isFull = false;
    guest.network.arrive(frame(61));
    guest.send(frame(62));
    expect([guest.receive().length, guest.network.sent.length]).toEqual([0, 0]);
    guest.machine.transport.resume();
    expect(guest.receive()).toHaveLength(1);
    expect(guest.network.sent.map((sent) => sent.frame.length)).toEqual([60, 62]);
  });

  test('a restored device goes on with what its former one had taken, and asks for an announcement', async () => {
    const guest = new NetGuest();
    const other = Uint8Array.of(0x02, 0, 0, 0, 0, 9);
    guest.command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other);
    guest.offer(50, BUFFER);
    guest.network.arrive(frame(60));
    guest.receive();
    guest.network.isFull = true;
    guest.send(frame(61));
    const network = new FakeNetwork();
    const device = new NetDevice({ name: 'eth0', mac: GUEST_MAC, backend: network });
    const moved = await guest.machine.moveTo(device);
    moved.transport.resume();
    moved.runDeferred();
    network.arrive(frame(65_000));

    expect(network.sent.map((sent) => sent.frame)).toEqual([frame(61)]);
    expect(guest.receive()).toEqual([{ buffers: 43, frame: frame(65_000) }]);
    expect(network.guestOffloads).toEqual(EVERY_OFFLOAD);
    expect(config({ machine: moved }, virtio_net_config.mac, 6)).toEqual(other);
    expect(status({ machine: moved })).toBe(VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
    expect(guest.command(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, new Uint8Array())).toBe(VIRTIO_NET_OK);
    expect(status({ machine: moved })).toBe(VIRTIO_NET_S_LINK_UP);
  });

  test('a restored device keeps a link that was down, offloads that were off and tokens that were spent', async () => {
    const time = new FakeClock();
    const limiter = () => new RateLimiter({ bytes: { size: 100, refillTimeMs: 100 } }, time);
    const guest = new NetGuest({ device: { transmitLimiter: limiter() } });
    guest.command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, new Uint8Array(8));
    guest.send(frame(200));
    guest.device.setLink(false);
    const network = new FakeNetwork();
    const device = new NetDevice({ name: 'eth0', mac: GUEST_MAC, backend: network, transmitLimiter: limiter() });
    const moved = await guest.machine.moveTo(device);
    moved.transport.resume();
    moved.runDeferred();
    device.setLink(true);
    guest.send(frame(60));

    expect(network.guestOffloads).toEqual(NO_OFFLOADS);
    expect(network.sent).toEqual([]);
    time.advance(101);
    expect(network.sent).toHaveLength(1);
  });

  test('a state of something else is refused', async () => {
    const guest = new NetGuest();
    await guest.machine.transport.quiesce();
    const snapshot = { ...guest.machine.transport.saveState(), device: { mac: 'none' } };
    const fresh = new NetGuest();
    fresh.machine.driver.reset();
    expect(() => fresh.machine.transport.restoreState(snapshot)).toThrow('is not that of a network device');
  });
});

describe('a queue server', () => {
  const FEATURES = MODERN | featureSet(VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CTRL_VQ);

  function served() {
    const server = new RecordingServer(FEATURES);
    return { server, guest: new NetGuest({ device: { backend: server, mtu: 1500 } }) };
  }

  test('has the data queues, and is offered no more than it knows and the device can', () => {
    const { server, guest } = served();
    const own = featureSet(VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MTU);
    expect(guest.device.queueSizes).toHaveLength(2);
    expect(guest.device.features).toBe(own | featureSet(VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_CSUM));
    expect(server.context?.features).toBe(guest.device.features & ~own);
    expect(status(guest)).toBe(VIRTIO_NET_S_LINK_UP);
  });

  test('is stopped with its driver', async () => {
    const { server, guest } = served();
    await guest.machine.transport.quiesce();
    guest.machine.transport.resume();
    guest.machine.driver.reset();
    expect(server.log).toEqual(['start', 'quiesce', 'resume', 'stop']);
  });

  test('leaves the link to the device', () => {
    const { guest } = served();
    guest.device.setLink(false);
    expect(status(guest)).toBe(0);
    expect(guest.device.metrics()).toEqual({});
  });
});

test('the header of a frame is where the kernel has it', () => {
  expect(virtio_net_hdr_v1.sizeof).toBe(12);
});
