import { expect, test } from 'vitest';
import { listsResolver } from './container-network.ts';

const HEAD =
  '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n';
const line = (address: string, remote = '00000000:0000'): string =>
  `  123: ${address} ${remote} 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0000000000000000 0\n`;

test.each([
  ['a socket at 127.0.0.11, of any port', line('0B00007F:A5C3'), true],
  ['no sockets', '', false],
  ['sockets at other addresses of the loopback interface', line('0100007F:0035') + line('3500007F:0035'), false],
  ['a socket that sends there', line('0100007F:1234', '0B00007F:0035'), false],
])('a resolver is there, or not: %s', (_what, lines, isThere) => {
  expect(listsResolver(HEAD + lines)).toBe(isThere);
});
