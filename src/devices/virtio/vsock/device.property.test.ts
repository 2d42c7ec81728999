import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatenate } from '../testing/mock-driver.ts';
import { GUEST_PORT, HOST_PORT, VsockGuest } from '../testing/vsock-guest.ts';
import { decodeHeader, encodeHeader, type PacketHeader } from './request.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

const anyHeader: fc.Arbitrary<PacketHeader> = fc.record({
  sourceCid: u64,
  destinationCid: u64,
  sourcePort: u32,
  destinationPort: u32,
  length: u32,
  type: fc.integer({ min: 0, max: 0xffff }),
  operation: fc.integer({ min: 0, max: 0xffff }),
  flags: u32,
  bufferSize: u32,
  forwardedCount: u32,
});

test('a header that is encoded and decoded is the same', () => {
  fc.assert(
    fc.property(anyHeader, (header) => {
      expect(decodeHeader(encodeHeader(header))).toEqual(header);
    }),
  );
});

/** Packets that mostly concern two connections. */
const packet = fc.record({
  fields: fc.record({
    sourcePort: fc.constantFrom(GUEST_PORT, GUEST_PORT + 1),
    destinationPort: fc.constantFrom(HOST_PORT, HOST_PORT, 0x4000_0000),
    type: fc.constantFrom(1, 1, 1, 1, 2),
    operation: fc.integer({ min: 0, max: 9 }),
    flags: fc.integer({ min: 0, max: 3 }),
    bufferSize: fc.oneof(fc.integer({ min: 0, max: 100 }), u32),
    forwardedCount: fc.oneof(fc.integer({ min: 0, max: 100 }), u32),
    destinationCid: fc.constantFrom(2n, 2n, 2n, 2n, 7n),
  }),
  length: fc.option(fc.integer({ min: 0, max: 300 }), { nil: undefined }),
  payload: fc.uint8Array({ maxLength: 200 }),
});

type Step =
  | { readonly kind: 'packet'; readonly packet: typeof packet extends fc.Arbitrary<infer P> ? P : never }
  | { readonly kind: 'opened' | 'failed' | 'finish' | 'confirm' | 'receive' | 'connect' | 'move' }
  | { readonly kind: 'arrive'; readonly bytes: Uint8Array };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: packet.map((value): Step => ({ kind: 'packet', packet: value })) },
  {
    weight: 5,
    arbitrary: fc
      .constantFrom('opened', 'opened', 'failed', 'finish', 'confirm', 'receive', 'connect', 'move')
      .map((kind): Step => ({ kind }) as Step),
  },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes): Step => ({ kind: 'arrive', bytes })) },
);

const BUFFER_SIZE = 256;
const MAX_CONNECTIONS = 3;

async function perform(guest: VsockGuest, action: Step): Promise<void> {
  const stream = guest.host.streams.at(-1);
  switch (action.kind) {
    case 'packet': {
      const { fields, length, payload } = action.packet;
      guest.send({ ...fields, length: length ?? payload.length }, payload);
      break;
    }
    case 'opened':
      stream?.events?.opened();
      break;
    case 'failed':
      stream?.events?.failed(new Error('broken'));
      break;
    case 'finish':
      stream?.finish();
      break;
    case 'confirm':
      for (const each of guest.host.streams) each.confirm();
      break;
    case 'arrive':
      stream?.arrive(action.bytes);
      break;
    case 'receive':
      guest.receive();
      break;
    case 'connect':
      guest.device.connectToGuest(GUEST_PORT, guest.host.connect(0, NO_EVENTS), {
        accepted: () => {},
        refused: () => {},
      });
      break;
    case 'move':
      await guest.move();
      guest.machine.transport.resume();
      break;
  }
}

const NO_EVENTS = { opened: () => {}, readable: () => {}, failed: () => {} };

describe('whatever a guest and a host do', () => {
  test('the device stays up and holds no more than its limits', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const guest = new VsockGuest({ bufferSize: BUFFER_SIZE, maxConnections: MAX_CONNECTIONS }, 4);
        for (const action of steps) {
          await perform(guest, action);
          expect(guest.host.streams.filter((stream) => !stream.isDestroyed).length).toBeLessThanOrEqual(
            MAX_CONNECTIONS,
          );
        }
        guest.machine.runDeferred();
        expect(guest.machine.failures).toEqual([]);
        expect(guest.machine.transport.state.kind).toBe('active');
      }),
      { numRuns: 1500 },
    );
  });

  test('all bytes arrive once and in order, both ways, within the credit', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 20 });
    fc.assert(
      fc.property(sizes, sizes, fc.integer({ min: 1, max: 500 }), (toHost, toGuest, guestBuffer) => {
        const guest = new VsockGuest({ bufferSize: BUFFER_SIZE });
        guest.connect({ bufferSize: guestBuffer });
        const numbered = (lengths: readonly number[]) =>
          concatenate(lengths.map((length, index) => new Uint8Array(length).fill(index + 1)));
        let received = new Uint8Array();
        for (const [index, length] of toGuest.entries())
          guest.host.latest.arrive(new Uint8Array(length).fill(index + 1));
        for (const [index, length] of toHost.entries()) {
          guest.send(
            { operation: 5, bufferSize: guestBuffer, forwardedCount: received.length },
            new Uint8Array(length).fill(index + 1),
          );
          guest.host.latest.confirm();
          received = Uint8Array.from(concatenate([received, guest.receiveData()]));
        }
        for (let before = -1; before !== received.length; ) {
          before = received.length;
          guest.send({ operation: 6, bufferSize: guestBuffer, forwardedCount: received.length });
          received = Uint8Array.from(concatenate([received, guest.receiveData()]));
        }
        expect(guest.host.latest.written).toEqual(numbered(toHost));
        expect(received).toEqual(numbered(toGuest));
      }),
      { numRuns: 200 },
    );
  });
});
