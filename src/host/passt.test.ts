import { expect, test } from 'vitest';
import { parsePorts, passtCommand } from './passt.ts';

test.each([
  ['8080', ['8080']],
  ['8080:80', ['8080:80']],
  ['127.0.0.1/2222:22,5000-5010:6000-6010', ['127.0.0.1/2222:22', '5000-5010:6000-6010']],
  ['::1/53', ['::1/53']],
  ['fe80::1%eth0/53', ['fe80::1%eth0/53']],
])('"%s" are ports', (text, ports) => {
  expect(parsePorts(text)).toEqual(ports);
});

test.each(['', '0', '65536', '80:', '80,', '20-10', 'all', 'none', '~22', '80 --fd 9', '80:70000'])(
  '"%s" is refused as ports',
  (text) => {
    expect(parsePorts(text)).toBeUndefined();
  },
);

test('passt stays in the foreground, on our connection, with each forward as an option', () => {
  const command = passtCommand({ mode: 'vhost-user', tcp: '8080:80,2222:22', udp: '53', mtu: 1400 }, '/passt', 3);
  expect(command.join(' ')).toBe(
    '/passt --foreground --quiet --fd 3 --vhost-user --mtu 1400 --tcp-ports 8080:80 --tcp-ports 2222:22 --udp-ports 53',
  );
});

test('a passt that does not know vhost-user is not asked for it', () => {
  expect(passtCommand({ mode: 'stream' }, '/passt', 3)).not.toContain('--vhost-user');
});
