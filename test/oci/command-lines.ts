// Command lines that every runtime must take that is called as runc is (its own help, and what engines pass), and those that it must
// refuse, each with the words in which it does.

type Case = readonly [verb: string, flags: readonly string[], args: readonly string[]];

/** @param rows arguments behind the container's id may be left out */
function withArguments(rows: readonly (readonly [string, readonly string[], (readonly string[])?])[]): readonly Case[] {
  return rows.map(([verb, flags, args = []]) => [verb, flags, args]);
}

/** Each verb with every flag that runc 1.1 has; the container is one that is not there, nor is the bundle. */
export const FLAGS = withArguments([
  ['create', ['-b', '/nonexistent', '--console-socket', '/s', '--pid-file', '/p', '--no-pivot', '--no-new-keyring']],
  ['create', ['--bundle=/nonexistent', '--preserve-fds', '0', '-no-pivot=true', '--pid-file=']],
  ['run', ['-b', '/nonexistent', '-d', '--keep', '--no-subreaper', '--console-socket', '/s', '--preserve-fds=0']],
  ['run', ['--bundle', '/nonexistent', '--detach', '--pid-file', '/p', '--no-pivot', '--no-new-keyring']],
  ['start', []],
  ['state', []],
  ['pause', []],
  ['resume', []],
  ['kill', ['-a'], ['9']],
  ['kill', ['--all'], ['TERM']],
  ['kill', [], ['SIGKILL']],
  ['delete', []],
  ['exec', ['--console-socket', '/s', '--cwd', '/', '-e', 'A=b', '-e', 'C=d', '-t', '-u', '1:2', '-g', '3'], ['ls']],
  [
    'exec',
    [
      '--additional-gids',
      '3',
      '--env',
      'A=b',
      '-c',
      'CAP_KILL',
      '--tty',
      '--user=1',
      '-d',
      '--pid-file',
      '/p',
      '--process-label',
      'x',
    ],
    ['ls'],
  ],
  [
    'exec',
    ['--apparmor', 'x', '--no-new-privs', '--cap', 'CAP_KILL', '--cap=CAP_CHOWN', '--ignore-paused'],
    ['ls', '-l'],
  ],
  ['exec', ['--preserve-fds', '0', '--cgroup', '/x', '--detach', '-p', '/nonexistent']],
  ['exec', ['--process', '/nonexistent', '--detach=false']],
  ['ps', ['-f', 'json']],
  ['ps', ['--format=table'], ['-ef']],
  ['events', ['--interval', '1m30s', '--stats']],
  ['update', ['-r', '-', '--blkio-weight', '10', '--cpu-period', '1', '--cpu-quota', '-1', '--cpu-share', '2']],
  ['update', ['--cpu-rt-period', '1', '--cpu-rt-runtime', '1', '--cpuset-cpus', '0', '--cpuset-mems', '0']],
  ['update', ['--kernel-memory', '1', '--kernel-memory-tcp', '1', '--memory', '512m', '--memory-reservation', '1g']],
  ['update', ['--memory-swap', '-1', '--pids-limit', '-1', '--l3-cache-schema', 'x', '--mem-bw-schema', 'y']],
  ['update', ['--resources=-', '-memory=1g']],
  ['checkpoint', ['--image-path', '/i', '--work-path', '/w', '--parent-path', 'p', '--leave-running', '--lazy-pages']],
  ['checkpoint', ['--tcp-established', '--ext-unix-sk', '--shell-job', '--status-fd', '5', '--page-server', 'a:1']],
  ['checkpoint', ['--file-locks', '--pre-dump', '--manage-cgroups-mode', 'soft', '--empty-ns=network', '--auto-dedup']],
]);

/** What runc has got since. */
export const NEWER_FLAGS = withArguments([
  ['create', ['--bundle', '/nonexistent', '--pidfd-socket', '/s']],
  ['run', ['--bundle', '/nonexistent', '--pidfd-socket=/s']],
  ['exec', ['--pidfd-socket', '/s'], ['ls']],
  ['update', ['--cpu-burst', '0', '--cpu-idle', '1']],
]);

/** The status of what could not be done. */
export const FAILURE: Readonly<Record<string, number>> = { exec: 255 };

/** What is said of a container or a bundle that is not there. */
export const MISSING = /does not exist|no such file or directory/;

/** Command lines that are refused: their status and runc's words. */
export const MISUSE: readonly (readonly [args: readonly string[], status: number, message: string])[] = [
  [['state'], 1, '"state" requires exactly 1 argument(s)'],
  [['state', 'a', 'b'], 1, '"state" requires exactly 1 argument(s)'],
  [['exec'], 1, '"exec" requires a minimum of 1 argument(s)'],
  [['update'], 1, '"update" requires exactly 1 argument(s)'],
  [['events', 'a', 'b'], 1, '"events" requires exactly 1 argument(s)'],
  [['ps'], 1, '"ps" requires a minimum of 1 argument(s)'],
  [['kill', 'a', '9', 'b'], 1, '"kill" requires a maximum of 2 argument(s)'],
  [['checkpoint'], 1, '"checkpoint" requires exactly 1 argument(s)'],
  [['list', 'a'], 1, '"list" requires exactly 0 argument(s)'],
  [['list', '--nosuch'], 1, 'flag provided but not defined: -nosuch'],
  [['update', '--memory'], 1, 'flag needs an argument: -memory'],
  [['update', '--pids-limit', 'x', 'c1'], 1, 'invalid value "x" for flag -pids-limit: '],
  [['events', '--interval', '5', 'c1'], 1, 'invalid value "5" for flag -interval: parse error'],
  [['--log-format', 'xml', 'list'], 1, 'xml'],
  [['list', '-f', 'xml'], 1, 'invalid format option'],
  [['nosuch'], 3, "No help topic for 'nosuch'"],
  [['state', 'a/b'], 1, 'invalid container ID format'],
  [['state', '..'], 1, 'invalid container ID format'],
  [['state', ''], 1, 'container id cannot be empty'],
  [['delete', '--force', ''], 1, 'container id cannot be empty'],
];

/** Those that runc 1.1 took, and later versions refuse. */
export const NEWER_MISUSE: typeof MISUSE = [
  [['--root', '/', 'list'], 1, 'Option --root argument should not be set to /'],
];
