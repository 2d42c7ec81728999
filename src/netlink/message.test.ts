import { constants } from 'node:os';
import { expect, test } from 'vitest';
import * as abi from './abi.gen.ts';
import {
  cString,
  decodeAttributes,
  decodeError,
  decodeMessages,
  doneErrno,
  encodeAttributes,
  encodeMessage,
  encodePayload,
  textOf,
  uint32,
  uint32Of,
} from './message.ts';

const message = (payload: Uint8Array, flags = 0) => ({ type: abi.NLMSG_ERROR, flags, sequence: 7, payload });
const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

const { EIO, ENODEV } = constants.errno;

test('messages of one datagram are read back, whatever their length', () => {
  const first = message(Uint8Array.of(1, 2, 3), 5);
  const second = message(new Uint8Array(0), 6);
  const datagram = join(encodeMessage(first), Uint8Array.of(0), encodeMessage(second));

  expect(decodeMessages(datagram)).toEqual([first, second]);
});

test('attributes are read back, whatever their length, with their flags taken off', () => {
  const bytes = encodeAttributes([
    [1, cString('eth0')],
    [2 | abi.NLA_F_NESTED, encodeAttributes([[3, uint32(0xffff_ffff)]])],
  ]);

  const attributes = decodeAttributes(bytes);

  expect(bytes.length % 4).toBe(0);
  expect(textOf(attributes.get(1))).toBe('eth0');
  expect(uint32Of(decodeAttributes(attributes.get(2) ?? new Uint8Array()).get(3))).toBe(0xffff_ffff);
});

test.each([
  ['a length of 0', [0, 0, 1, 0]],
  ['a length beyond the end', [9, 0, 1, 0, 5, 5, 5, 5]],
  ['half a header', [4, 0]],
])('attributes end where they make no sense: %s', (_what, bytes) => {
  expect(decodeAttributes(Uint8Array.from(bytes)).size).toBe(0);
});

test.each([
  ['a length of 0', 0],
  ['a length beyond the end', 17],
])('messages end where they make no sense: %s', (_what, length) => {
  const bytes = encodeMessage(message(new Uint8Array(0)));
  bytes[0] = length;

  expect(decodeMessages(bytes)).toEqual([]);
});

test('an error has its number and the words of the kernel, where there are some', () => {
  const header = new Uint8Array(abi.SIZEOF_nlmsgerr);
  new DataView(header.buffer).setInt32(0, -ENODEV, true);
  const explained = encodePayload(header, [[abi.NLMSGERR_ATTR_MSG, cString('no such thing')]]);

  expect(decodeError(message(header))).toEqual({ errno: ENODEV, reason: '' });
  expect(decodeError(message(explained, abi.NLM_F_ACK_TLVS))).toEqual({ errno: ENODEV, reason: 'no such thing' });
  expect(doneErrno(message(uint32(0)))).toBe(0);
  expect(doneErrno(message(uint32(2 ** 32 - EIO)))).toBe(EIO);
});
