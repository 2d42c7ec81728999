import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame, type Frame, FrameDecoder, FrameError, MESSAGE_LENGTH_MAX } from './frame.ts';

const frames = fc.array(
  fc.record({
    streamId: fc.integer({ min: 0, max: 0xffff_ffff }),
    type: fc.integer({ min: 0, max: 255 }),
    flags: fc.integer({ min: 0, max: 255 }),
    payload: fc.uint8Array({ maxLength: 9000 }),
  }),
  { maxLength: 8 },
);

function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

test('frames come out as they went in, wherever the stream is split', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 5000 })), (sent, sizes) => {
      const bytes = join(sent.map((frame) => encodeFrame(frame.streamId, frame.type, frame.payload, frame.flags)));
      const decoder = new FrameDecoder();
      const received: Frame[] = [];
      for (let offset = 0, index = 0; offset < bytes.length; index++) {
        const size = sizes[index] ?? 1 + (index % 7);
        received.push(...decoder.push(bytes.subarray(offset, offset + size)));
        offset += size;
      }
      decoder.end();
      expect(received).toEqual(sent);
    }),
  );
});

test('a stream that was cut gives the whole frames before the cut, and is known to be cut', () => {
  fc.assert(
    fc.property(frames, fc.nat(), (sent, cut) => {
      const encoded = sent.map((frame) => encodeFrame(frame.streamId, frame.type, frame.payload, frame.flags));
      const bytes = join(encoded);
      const length = bytes.length === 0 ? 0 : cut % bytes.length;
      const decoder = new FrameDecoder();
      const received = [...decoder.push(bytes.subarray(0, length))];
      expect(received).toEqual(sent.slice(0, received.length));
      const whole = join(encoded.slice(0, received.length)).length;
      const end = (): void => decoder.end();
      expect(whole === length ? end : () => expect(end).toThrow(FrameError)).not.toThrow();
    }),
  );
});

test('garbage gives frames within the limit or a FrameError, never anything else', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
      const decoder = new FrameDecoder();
      try {
        for (const chunk of chunks) {
          for (const frame of decoder.push(chunk)) expect(frame.payload.length).toBeLessThanOrEqual(MESSAGE_LENGTH_MAX);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
      }
    }),
  );
});
