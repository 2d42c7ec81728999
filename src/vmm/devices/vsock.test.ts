import { expect, test } from 'vitest';
import { vsock } from './vsock.ts';

test.each([
  ['3=/run/v.sock', { guestCid: 3, path: '/run/v.sock' }],
  ['cid=3,path=/run/v.sock', { guestCid: 3, path: '/run/v.sock' }],
  ['3,vhost=on', { guestCid: 3, vhost: true }],
])('--vsock %s is read, and can be', (text, expected) => {
  const config = vsock.read(text);
  expect(config).toEqual(expected);
  expect(() => vsock.check(config)).not.toThrow();
});

test.each([
  ['2=/v', 'vsock cid is 2'],
  ['3', 'vsock is without a socket; allowed is CID=SOCKET or CID,vhost=on'],
  ['3=/v,vhost=on', 'vsock is both a socket and vhost'],
])('--vsock %s cannot be: %s', (text, message) => {
  expect(() => vsock.check(vsock.read(text))).toThrow(message);
});

test('paths are made absolute where there is one', () => {
  const kernel = vsock.read('3,vhost=on');
  expect(vsock.withAbsolutePaths?.(kernel)).toEqual(kernel);
  expect(vsock.withAbsolutePaths?.(vsock.read('3=/v'))).toEqual({ guestCid: 3, path: '/v' });
});
