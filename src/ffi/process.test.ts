import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { watchFd } from './event-loop.unsafe.ts';
import { openPidfd, signalPidfd } from './process.unsafe.ts';

test('a pidfd signals its process and tells of its end', async () => {
  const child = spawn('sleep', ['60']);
  const closed = once(child, 'close');
  using pidfd = openPidfd(child.pid ?? 0);
  const ended = Promise.withResolvers<void>();
  using watch = watchFd(pidfd.fd, () => {
    watch[Symbol.dispose]();
    ended.resolve();
  });

  signalPidfd(pidfd, 'SIGTERM');
  await ended.promise;

  expect(await closed).toEqual([null, 'SIGTERM']);
});

test('there is no pidfd of a process that is not there', () => {
  expect(() => openPidfd(2 ** 22 + 1)).toThrow('pidfd_open on process');
});
