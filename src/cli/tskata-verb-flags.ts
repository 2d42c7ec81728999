// The flags of the verbs that have many: runc's, with runc's meanings.
import { type Flag, switched, text, textOr, texts } from './command-line.ts';
import { parseDurationMs, parseInteger } from './go-values.ts';

type Shown = Parameters<typeof text>[0];

function integer(shown: Shown): Flag<number> {
  return { ...shown, read: (value) => required(parseInteger(value)) };
}

/** Milliseconds. */
function duration(otherwise: number, shown: Shown): Flag<number> & { readonly otherwise: number } {
  return { ...shown, read: (value) => required(parseDurationMs(value)), otherwise };
}

/** @throws Error with what Go says of a value that it cannot read */
function required(value: number | undefined): number {
  if (value === undefined) throw new Error('parse error');
  return value;
}

const microseconds = (about: string): Flag<string> => text({ placeholder: 'us', about });
const bytes = (about: string): Flag<string> => text({ placeholder: 'bytes', about });

export const UPDATE_FLAGS = {
  resources: text({
    short: 'r',
    placeholder: 'file',
    about:
      'read what is to be changed from this file (- for standard input), in the place of the other flags: JSON of linux.resources, {"memory": {"limit": 536870912}, "cpu": {"quota": 50000}}',
  }),
  'blkio-weight': integer({ placeholder: 'weight', about: 'weight of block I/O on the host, 10 to 1000' }),
  'cpu-period': microseconds('period of the limit of processor time, microseconds'),
  'cpu-quota': microseconds('processor time that may be used in a period, microseconds; -1 for no limit'),
  'cpu-burst': microseconds('processor time that may be saved up for later periods, microseconds'),
  'cpu-share': text({ placeholder: 'shares', about: 'weight of processor time among containers (1024 is usual)' }),
  'cpu-rt-period': microseconds('refused: the guest has no budget for realtime tasks'),
  'cpu-rt-runtime': microseconds('refused: the guest has no budget for realtime tasks'),
  'cpu-idle': text({ placeholder: '0|1', about: '1: processor time only that nobody else wants' }),
  'cpuset-cpus': text({ placeholder: 'list', about: 'processors of the host to run on: 0-3,8' }),
  'cpuset-mems': text({ placeholder: 'list', about: 'memory nodes of the host to use' }),
  memory: bytes('limit of memory: a number of bytes, or with a unit as in 512m; -1 for no limit'),
  'memory-reservation': bytes('memory that the container is to keep when it gets scarce'),
  'memory-swap': bytes('limit of memory and swap together; -1 for no limit'),
  'pids-limit': integer({
    placeholder: 'count',
    about: 'how many processes and threads there may be; -1 for no limit',
  }),
  'l3-cache-schema': text({ placeholder: 'schema', about: 'refused: Intel RDT is not used' }),
  'mem-bw-schema': text({ placeholder: 'schema', about: 'refused: Intel RDT is not used' }),
  'kernel-memory': text({ placeholder: 'bytes', about: 'taken for compatibility', isHidden: true }),
  'kernel-memory-tcp': text({ placeholder: 'bytes', about: 'taken for compatibility', isHidden: true }),
} as const;

export const EVENTS_FLAGS = {
  interval: duration(5000, {
    placeholder: 'duration',
    about: 'time between statistics, as in 5s, 100ms or 1m30s (default: 5s)',
  }),
  stats: switched({ about: 'print the statistics once, and end' }),
} as const;

export const PS_FLAGS = {
  format: textOr('table', {
    short: 'f',
    placeholder: 'format',
    about:
      'table: the processes as the container sees them, with its own pids; json: an array of pids on the host, of those that stand for its processes and take their signals',
  }),
} as const;

/** Flags of CRIU: a VM is saved with all that is in it. */
const COMPATIBLE = 'taken for compatibility';
const REFUSED = 'refused: a checkpoint is one snapshot of the whole virtual machine';

/** The flags that `checkpoint` and `restore` share. */
const IMAGE_FLAGS = {
  'image-path': text({ placeholder: 'path', about: 'folder of the checkpoint' }),
  'work-path': text({ placeholder: 'path', about: COMPATIBLE }),
  'tcp-established': switched({ about: COMPATIBLE }),
  'ext-unix-sk': switched({ about: COMPATIBLE }),
  'shell-job': switched({ about: COMPATIBLE }),
  'lazy-pages': switched({ about: REFUSED }),
  'file-locks': switched({ about: COMPATIBLE }),
  'manage-cgroups-mode': text({ placeholder: 'mode', about: COMPATIBLE }),
  'empty-ns': texts({ placeholder: 'namespace', about: COMPATIBLE }),
  'auto-dedup': switched({ about: COMPATIBLE }),
} as const;

export const CHECKPOINT_FLAGS = {
  ...IMAGE_FLAGS,
  'parent-path': text({ placeholder: 'path', about: REFUSED }),
  'leave-running': switched({ about: 'let the container go on' }),
  'status-fd': integer({ placeholder: 'fd', about: COMPATIBLE }),
  'page-server': text({ placeholder: 'address:port', about: REFUSED }),
  'pre-dump': switched({ about: REFUSED }),
} as const;

export const RESTORE_FLAGS = {
  ...IMAGE_FLAGS,
  'console-socket': text({ placeholder: 'path', about: 'Unix socket that gets the master of the terminal' }),
  bundle: text({ short: 'b', placeholder: 'path', about: 'folder of the bundle' }),
  detach: switched({ short: 'd', about: 'leave the container running' }),
  'pid-file': text({ placeholder: 'path', about: "write the container's pid there" }),
  'no-subreaper': switched({ about: COMPATIBLE }),
  'no-pivot': switched({ about: COMPATIBLE }),
  'lsm-profile': text({ placeholder: 'type:name', about: 'without effect: the guest has no security module' }),
  'lsm-mount-context': text({ placeholder: 'context', about: 'without effect: the guest has no security module' }),
} as const;

export const UNINSTALL_FLAGS = {
  'dry-run': switched({ about: 'show what would change, and change nothing' }),
  root: textOr('/', {
    placeholder: 'directory',
    about: 'the root of the file system to write into, of an image for instance',
  }),
  config: text({ placeholder: 'file', about: "the engine's configuration, where it is not at its usual place" }),
  output: text({ placeholder: 'file', about: 'kubernetes: the file of the manifest, in the place of standard output' }),
} as const;

export const INSTALL_FLAGS = {
  ...UNINSTALL_FLAGS,
  path: text({
    placeholder: 'file',
    about: 'the program that the engine is to call (default: the one that is running)',
  }),
  'no-shim': switched({
    about:
      "docker, containerd: let it be called by containerd's shim for runc in the place of our own, as runtimeArgs of Docker need; the engine's statistics are those of the VM then",
  }),
} as const;
