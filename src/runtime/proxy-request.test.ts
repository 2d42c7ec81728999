import { describe, expect, test } from 'vitest';
import { encodeProxyRequest, proxyCommandLine } from './proxy-request.ts';

const place = { namespaces: [], rootfs: '/b/rootfs', readOnly: false, volumes: [] };

describe('encodeProxyRequest', () => {
  test('says all of it, each string with its end, and an empty one', () => {
    const text = encodeProxyRequest({
      token: 'ab',
      terminal: { consoleSocket: '/run/c.sock' },
      consoleSize: { height: 24, width: 80 },
      pidfdSocket: '/run/p.sock',
      place: {
        namespaces: [{ type: 'network', path: '/run/netns/x' }, { type: 'ipc' }],
        rootfs: '/b/rootfs',
        readOnly: true,
        volumes: [{ source: '/srv', target: '/data', readOnly: true, recursive: true }],
      },
      commandLine: ['sh'],
    });

    expect(text.split('\0')).toEqual([
      '--token=ab',
      '--console-socket=/run/c.sock',
      '--console-size=24x80',
      '--pidfd-socket=/run/p.sock',
      '--join=net:/run/netns/x',
      '--new=ipc',
      '--root=/b/rootfs',
      '--read-only-root',
      '--source=/srv',
      '--flag=ro',
      '--flag=rbind',
      '--target=/data',
      '',
      '',
    ]);
  });

  test('names the proxy whose place is shared', () => {
    const text = encodeProxyRequest({ token: 'ab', terminal: 'own', place: { pid: 7 }, commandLine: [] });

    expect(text.split('\0')).toEqual(['--token=ab', '--terminal', '--join-proxy=7', '', '']);
  });

  test('keeps the command line to itself', () => {
    const text = encodeProxyRequest({ token: 'ab', terminal: 'none', place, commandLine: ['sh', '-c'] });

    expect(text).not.toContain('sh');
  });
});

describe('proxyCommandLine', () => {
  test.each([
    ['is that of the process, and says whose it is', ['sleep', '1000'], ['sleep', '1000', '[tskata c1]']],
    ['ends an argument where the kernel would', ['echo', 'a\0b'], ['echo', 'a', '[tskata c1]']],
    ['shows the beginning of a long one', ['a', 'x'.repeat(5000), 'b'], ['a', 'x'.repeat(4094), '[tskata c1]']],
  ])('%s', (_, args, shown) => {
    expect(proxyCommandLine(args, 'c1')).toEqual(shown);
  });
});
