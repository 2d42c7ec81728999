import { expect, test } from 'vitest';
import { DNS_QUERY_BYTES_MAX, DnsStream, isDnsQuery, serverFailure, withLength } from './dns-message.ts';

/** What a resolver of a program asks for the address of "a": recursion desired, one question, options of EDNS. */
const QUERY = Uint8Array.from(
  Buffer.from(
    '1234' + '0100' + '0001' + '0000' + '0000' + '0001' + '0161000001' + '0001' + '0000291000000000000000',
    'hex',
  ),
);

test('an answer, a piece of a header and what is too long are no queries', () => {
  const answer = QUERY.slice();
  answer[2] = 0x81;

  expect(isDnsQuery(QUERY)).toBe(true);
  expect(isDnsQuery(answer)).toBe(false);
  expect(isDnsQuery(QUERY.subarray(0, 11))).toBe(false);
  expect(isDnsQuery(new Uint8Array(DNS_QUERY_BYTES_MAX))).toBe(true);
  expect(isDnsQuery(new Uint8Array(DNS_QUERY_BYTES_MAX + 1))).toBe(false);
});

test('a failure has the query with its number and question, and says that it is one', () => {
  const failure = Buffer.from(serverFailure(QUERY)).toString('hex');

  expect(failure).toBe(
    '1234' + '8102' + '0001' + '0000' + '0000' + '0001' + '0161000001' + '0001' + '0000291000000000000000',
  );
});

test('a failure of a query that says it had answers has none', () => {
  const odd = QUERY.slice();
  odd.fill(0xff, 6, 10);

  expect(serverFailure(odd)).toEqual(serverFailure(QUERY));
});

test('a message that is longer than may be ends the stream at its length', () => {
  const stream = new DnsStream(3);
  stream.push(withLength(Uint8Array.of(1, 2, 3)));
  stream.push(Uint8Array.of(0, 4));

  expect(stream.next()).toEqual(Uint8Array.of(1, 2, 3));
  expect(() => stream.next()).toThrow('a message of 4 bytes: at most 3');
});
