import { expect, test } from 'vitest';
import { readTrace } from './system-calls.ts';

test('processes, programs and bytes are counted; threads, failures and what is not known are not', () => {
  const trace = `10 execve("/usr/bin/runc"..., ["runc"...], 0x7ffd /* 2 vars */) = 0
10 clone(child_stack=0xc0, flags=CLONE_VM|CLONE_FS|CLONE_SIGHAND|CLONE_THREAD, tls=0xc1) = 11
10 clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=0x7f, stack_size=0x9000}, 88 <unfinished ...>
12 execve("/bin/a"..., [""...], 0x55) = -1 ENOENT (No such file or directory)
12 execve("/bin/b"..., [""...], 0x55 <unfinished ...>
11 write(1, ""..., 5) = 5
10 <... clone3 resumed>)                   = 12
12 <... execve resumed>)                   = 0
12 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0} => {parent_tid=[13]}, 88 <unfinished ...>
12 <... clone3 resumed> => {parent_tid=[13]}, 88) = 13
13 writev(3, [{iov_base=""..., iov_len=7}], 1) = 7
13 write(4, ""..., 1) = -1 EAGAIN (Resource temporarily unavailable)
13 sendmsg(5, {msg_name=NULL, msg_iov=[{iov_base=""..., iov_len=3}], msg_iovlen=1}, 0) = 3
12 vfork() = 14
11 write(1, ""..., 5 <unfinished ...>) = ?
14 +++ exited with 0 +++
`;

  expect(readTrace(trace)).toEqual({ processes: 2, executions: 2, bytesWritten: 15 });
});
