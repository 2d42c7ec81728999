// What crun (1.21) says where runc and tskata say what the cases have: of which kind an error is must be seen there too.

/** A file of the container's state that is not there. */
const NO_STATE = /(error opening file `.*\/status`|cannot open directory `.*`): No such file or directory/;

export const CRUN_WORDS: Readonly<Record<string, string | RegExp>> = {
  // Lines without a time and a level.
  [String(/^time="[^"]*Z" level=error msg=/m)]: /^[^\n]+\n$/,
  'cannot start a container that has stopped': 'container `c1` is not running',
  'cannot start an already running container': /cannot open `.*\/exec\.fifo`: No such file or directory/,
  'cannot delete container c1 that is not stopped: running':
    'the container `c1` is not in `created` or `stopped` state',
  'cannot exec in a paused container': 'the container `c1` is paused',
  'cannot exec in a stopped container': 'not running',
  'container does not exist': NO_STATE,
  [String(/^container does not exist$/)]: NO_STATE,
  'container not paused': 'not paused',
  'container not running': 'not running',
  'container with given ID already exists': 'container `c1` already exists',
  'unable to set swap limit without memory limit': 'cannot set swap limit without the memory limit',
  'unable to start container process': /^(executable file `.*` not found|the path `.*` is not a regular file)/,
  'exec failed: unable to start container process': /^executable file `.*` not found/,
  'exec: "nosuch": executable file not found in $PATH': 'executable file `nosuch` not found in $PATH',
  'exec: "/nosuch": stat /nosuch: no such file or directory': 'executable file `/nosuch` not found',
  'exec: "/etc"': 'the path `/etc` is not a regular file',
  'executable file not found in $PATH': 'not found in $PATH',
  'no such file or directory': 'No such file or directory',
  [String(/rejecting memory(\+swap)? limit 4096 <= usage \d+/)]:
    'cannot set the memory limit lower than its current usage',
  'name /dev/ptmx': 'name ',
  'will detach without setting console socket': 'use --console-socket with create when a terminal is used',
  [String(/error running .*hook #0: .*exit status 3, stdout: , stderr: because/)]:
    'error executing hook `/bin/busybox` (exit code: 3)',
  'invalid container ID format': 'invalid character `/` in the ID `a/b`',
  'chdir /nonexistent: no such file or directory': 'chdir `/nonexistent` failed: No such file or directory',
  'JSON specification file config.json not found': 'error loading config.json',
  'requires exactly 1 argument(s)': 'please specify a ID for the container',
  'invalid log-format: xml': 'unknown log format type `xml`',
  'namespace path: lstat /proc/4194305/ns/net: no such file or directory':
    'open `/proc/4194305/ns/net`: No such file or directory',
};
