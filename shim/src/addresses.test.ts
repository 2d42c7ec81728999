import { expect, test } from 'vitest';
import { parseStarted, relaySocket, shimSocket, toSocket } from './addresses.ts';

const SOCKET = '/run/containerd/s/abc';

test.each([
  ['an address', `unix://${SOCKET}\n`, 'unix:///run/x'],
  [
    'parameters',
    `{"version":2,"address":"unix://${SOCKET}","protocol":"ttrpc"}`,
    '{"version":2,"address":"unix:///run/x","protocol":"ttrpc"}',
  ],
])('finds the socket in %s, and puts another one there', (_what, output, changed) => {
  const started = parseStarted(output);

  expect(started.shimSocket).toBe(SOCKET);
  expect(started.withSocket('/run/x')).toBe(changed);
});

test.each(['', 'vsock://3:1024', 'unix://relative', '{"version":2}'])('refuses %j', (output) => {
  expect(() => parseStarted(output)).toThrow('has told no address of a Unix socket');
});

test('the two sockets lead to each other', () => {
  expect(shimSocket(relaySocket(SOCKET))).toBe(SOCKET);
  expect(shimSocket(SOCKET)).toBeUndefined();
  expect(toSocket('/no/address')).toBeUndefined();
});

test('the longest name that containerd gives a socket is not too long for a second one beside it, with a pid in its name', () => {
  const longest = `/run/containerd/s/${'0'.repeat(64)}`;

  expect(`${relaySocket(longest)}.${2 ** 22}`.length).toBeLessThan(108);
});
