// One builder at a time: a lock that the kernel takes back when its holder dies.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs `action` while holding flock(2) on `path`, made if it is missing and left there.
 * The lock belongs to a flock(1) process that ends with us, whatever way we end.
 */
export async function withLock<T>(path: string, action: () => Promise<T>): Promise<T> {
  const holder = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(holder, 'close');
  const first = await Promise.race([once(holder.stdout, 'data'), ended]);
  if (!String(first[0]).startsWith('held')) throw new Error(`cannot lock ${path}: flock ended with ${first[0]}`);
  try {
    return await action();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
