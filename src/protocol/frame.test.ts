import { describe, expect, test } from 'vitest';
import {
  encodeFrame,
  FrameDecoder,
  FrameError,
  FrameFlag,
  HEADER_LENGTH,
  MESSAGE_LENGTH_MAX,
  MessageType,
} from './frame.ts';

describe('encodeFrame', () => {
  test('writes length, stream id, type and flags, big-endian', () => {
    // containerd/ttrpc, PROTOCOL.md, "Message Frame"
    const bytes = encodeFrame(0x01020304, MessageType.REQUEST, new Uint8Array([0xaa, 0xbb]));
    expect([...bytes]).toEqual([0, 0, 0, 2, 1, 2, 3, 4, 1, 0, 0xaa, 0xbb]);
  });

  test('writes the flags it is given', () => {
    const flags = FrameFlag.REMOTE_CLOSED | FrameFlag.NO_DATA;
    expect([...encodeFrame(1, MessageType.DATA, new Uint8Array(0), flags)]).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 3, 5]);
  });

  test('takes a payload of the limit and none longer', () => {
    expect(encodeFrame(1, 1, new Uint8Array(MESSAGE_LENGTH_MAX)).length).toBe(HEADER_LENGTH + MESSAGE_LENGTH_MAX);
    expect(() => encodeFrame(1, 1, new Uint8Array(MESSAGE_LENGTH_MAX + 1))).toThrow(FrameError);
  });
});

describe('FrameDecoder', () => {
  const header = (length: number): Uint8Array => {
    const bytes = new Uint8Array(HEADER_LENGTH);
    new DataView(bytes.buffer).setUint32(0, length);
    return bytes;
  };

  test('gives several frames of one piece, empty ones among them', () => {
    const bytes = new Uint8Array([...encodeFrame(1, 1, new Uint8Array([5])), ...encodeFrame(3, 2, new Uint8Array(0))]);
    expect([...new FrameDecoder().push(bytes)]).toEqual([
      { streamId: 1, type: 1, flags: 0, payload: new Uint8Array([5]) },
      { streamId: 3, type: 2, flags: 0, payload: new Uint8Array(0) },
    ]);
  });

  test('keeps no hold of the memory it was given', () => {
    const bytes = encodeFrame(1, 1, new Uint8Array([1, 2, 3]));
    const [frame] = [...new FrameDecoder().push(bytes)];
    bytes.fill(0);
    expect(frame?.payload).toEqual(new Uint8Array([1, 2, 3]));
  });

  test.each([MESSAGE_LENGTH_MAX + 1, 0xffff_ffff])('refuses a length of %i as soon as it is announced', (length) => {
    expect(() => [...new FrameDecoder().push(header(length))]).toThrow(
      expect.objectContaining({ code: 'FRAME_TOO_LONG' }),
    );
  });

  test('ends well between frames and not inside one', () => {
    const decoder = new FrameDecoder();
    decoder.end();
    expect([...decoder.push(encodeFrame(1, 1, new Uint8Array(9)).subarray(0, 12))]).toEqual([]);
    expect(() => decoder.end()).toThrow(expect.objectContaining({ code: 'FRAME_TRUNCATED' }));
  });
});
