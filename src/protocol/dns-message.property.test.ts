// Messages come out of a stream as they went in, however it was cut; and no bytes make it hold more than was pushed.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  DNS_HEADER_BYTES,
  DNS_MESSAGE_BYTES_MAX,
  DnsStream,
  isDnsQuery,
  serverFailure,
  withLength,
} from './dns-message.ts';

/** All that can be taken, piece by piece. */
function taken(stream: DnsStream, pieces: readonly Uint8Array[]): Uint8Array[] {
  return pieces.flatMap((piece) => {
    stream.push(piece);
    const messages: Uint8Array[] = [];
    for (let message = stream.next(); message !== undefined; message = stream.next()) messages.push(message);
    return messages;
  });
}

function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1))), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

test('messages are the same however their bytes arrive', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
  fc.assert(
    fc.property(messages, fc.array(fc.nat()), (sent, places) => {
      const bytes = Uint8Array.from(sent.flatMap((message) => [...withLength(message)]));

      expect(taken(new DnsStream(DNS_MESSAGE_BYTES_MAX), cut(bytes, places))).toEqual(sent);
    }),
  );
});

test('no bytes give messages that were not in them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.array(fc.nat()), (bytes, places) => {
      const messages = taken(new DnsStream(DNS_MESSAGE_BYTES_MAX), cut(bytes, places));

      const again = Uint8Array.from(messages.flatMap((message) => [...withLength(message)]));
      expect(again).toEqual(bytes.subarray(0, again.length));
    }),
  );
});

test('the failure of any query is an answer to it, as long as it is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: DNS_HEADER_BYTES, maxLength: 600 }).filter(isDnsQuery), (query) => {
      const failure = serverFailure(query);

      expect(isDnsQuery(failure)).toBe(false);
      expect([failure.length, failure.subarray(0, 2)]).toEqual([query.length, query.subarray(0, 2)]);
    }),
  );
});
