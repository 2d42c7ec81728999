import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame, FRAME_STDOUT, FrameDecoder } from './host-protocol.ts';

test('frames come out as they went in, however the stream is chopped', () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 });
  fc.assert(
    fc.property(payloads, fc.array(fc.nat(600), { maxLength: 20 }), (datas, cuts) => {
      const stream = Buffer.concat(datas.map((data) => encodeFrame(FRAME_STDOUT, data)));
      const edges = [0, ...cuts.map((cut) => Math.min(cut, stream.length)).sort((a, b) => a - b), stream.length];
      const decoder = new FrameDecoder();
      const frames = edges.slice(1).flatMap((edge, index) => decoder.push(stream.subarray(edges[index], edge)));
      expect(frames).toEqual(datas.map((data) => ({ type: 'stdout', data: Buffer.from(data) })));
    }),
  );
});
