// Random peers: what comes over a connection to the agent when nobody on the other side keeps to the rules.
import fc from 'fast-check';
import { agentService } from '../../src/protocol/agent-service.ts';
import { encodeFrame, HEADER_LENGTH, MessageType } from '../../src/protocol/frame.ts';
import type { PeerCase } from '../../src/protocol/testing/peer-case.ts';
import { Request } from '../../src/protocol/ttrpc.gen.ts';

const WIRE_TYPES = { VARINT: 0, FIXED64: 1, LENGTH: 2, START: 3, END: 4, FIXED32: 5, NONE: 7 } as const;

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('{}', '[]', '{"ociVersion":"1.2.0"}', 'null', '..', '\0', 'x'.repeat(5000)),
);

/** A field of a protobuf message, as one may be or as none is. */
const { field, message } = fc.letrec<{ field: number[]; message: number[] }>((tie) => ({
  field: fc
    .tuple(fc.integer({ min: 0, max: 18 }), fc.constantFrom(...Object.values(WIRE_TYPES)))
    .chain(([number, wireType]) => {
      const tag = varint(BigInt(number * 8 + wireType));
      const contents = {
        [WIRE_TYPES.VARINT]: fc.oneof(
          fc.bigInt({ min: 0n, max: 2n ** 64n }).map(varint),
          bytes(12).map(Array.from<number>),
        ),
        [WIRE_TYPES.FIXED64]: bytes(9).map(Array.from<number>),
        [WIRE_TYPES.LENGTH]: fc
          .tuple(
            fc.oneof(
              { weight: 9, arbitrary: fc.constant(0) },
              { weight: 1, arbitrary: fc.integer({ min: -3, max: 70_000 }) },
            ),
            fc.oneof(
              { depthSize: 'small' },
              text.map((one) => [...Buffer.from(one)]),
              bytes(60).map(Array.from<number>),
              tie('message'),
            ),
          )
          .map(([lie, content]) => [...varint(BigInt(Math.max(0, content.length + lie))), ...content]),
        [WIRE_TYPES.START]: fc.constant<number[]>([]),
        [WIRE_TYPES.END]: fc.constant<number[]>([]),
        [WIRE_TYPES.FIXED32]: bytes(5).map(Array.from<number>),
        [WIRE_TYPES.NONE]: bytes(3).map(Array.from<number>),
      };
      return contents[wireType].map((content) => [...tag, ...content]);
    }),
  message: fc.array(tie('field'), { maxLength: 8 }).map((fields) => fields.flat()),
}));

/** @param methods names that requests may have, beside some that no service has */
function frame(methods: readonly string[]): fc.Arbitrary<Uint8Array> {
  const request = fc
    .record({
      service: fc.oneof({ weight: 9, arbitrary: fc.constant(agentService.name) }, { weight: 1, arbitrary: text }),
      method: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...methods) }, { weight: 1, arbitrary: text }),
      payload: message.map((content) => Uint8Array.from(content)),
      timeoutNano: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      metadata: fc.array(fc.record({ key: text, value: text }), { maxLength: 2 }),
    })
    .map((envelope) => Request.encode(envelope));
  const payload = fc.oneof(
    { weight: 8, arbitrary: request },
    { weight: 2, arbitrary: fc.oneof(field, message).map((content) => Uint8Array.from(content)) },
    { weight: 1, arbitrary: bytes(200) },
    { weight: 2, arbitrary: fc.constant(new Uint8Array(0)) },
  );
  const type = fc.oneof(
    { weight: 12, arbitrary: fc.constant<number>(MessageType.REQUEST) },
    { weight: 4, arbitrary: fc.constant<number>(MessageType.DATA) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) },
  );
  const flags = fc.oneof(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 255 }));
  const streamId = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 8 }).map((index) => 2 * index + 1) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 20 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 0x7fff_ffff, 0xffff_ffff) },
  );
  return fc.tuple(streamId, type, payload, flags).map((parts) => encodeFrame(...parts));
}

/** A header whose length is not that of what follows. */
const lyingHeader = fc
  .tuple(fc.constantFrom(0, 1, 9, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1, 0xffff_ffff), bytes(30))
  .map(([length, rest]) => {
    const whole = new Uint8Array(HEADER_LENGTH + rest.length);
    new DataView(whole.buffer).setUint32(0, length);
    whole.set([0, 0, 0, 1, MessageType.REQUEST, 0], 4);
    whole.set(rest, HEADER_LENGTH);
    return whole;
  });

function split(whole: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let offset = 0;
  for (const size of sizes) {
    if (offset >= whole.length) break;
    pieces.push(whole.slice(offset, offset + size));
    offset += size;
  }
  return offset < whole.length ? [...pieces, whole.slice(offset)] : pieces;
}

/** Connections: frames one after the other, whole or cut anywhere. @param methods as of `frame` */
export function peerCases(methods: readonly string[] = Object.keys(agentService.methods)): fc.Arbitrary<PeerCase> {
  const parts = fc.array(
    fc.oneof(
      { weight: 20, arbitrary: frame(methods) },
      { weight: 1, arbitrary: lyingHeader },
      { weight: 1, arbitrary: bytes(40) },
    ),
    { maxLength: 8 },
  );
  return fc
    .tuple(parts, fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 5 }), fc.nat(40))
    .map(([frames, sizes, cut]) => {
      const whole = new Uint8Array(Buffer.concat(frames));
      return split(cut < 3 ? whole.subarray(0, Math.max(0, whole.length - cut - 1)) : whole, sizes);
    });
}
