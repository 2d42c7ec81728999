// The config.json that `spec` writes: runc's, with this project's name for the host.
import { OCI_RUNTIME_SPEC_VERSION } from '../lib/version.ts';
import type { Config } from './config.ts';

const CAPABILITIES = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];
const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/sys/firmware',
  '/proc/scsi',
];
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** A configuration that runs `sh` on a terminal. */
export function defaultConfig(): Config {
  const config = {
    ociVersion: OCI_RUNTIME_SPEC_VERSION,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        inheritable: [],
        permitted: CAPABILITIES,
        ambient: [],
      },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'tskata',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      {
        destination: '/dev',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
      },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      },
      {
        destination: '/dev/shm',
        type: 'tmpfs',
        source: 'shm',
        options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
      },
      { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
      {
        destination: '/sys/fs/cgroup',
        type: 'cgroup',
        source: 'cgroup',
        options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'],
      },
    ],
    linux: {
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      namespaces: [
        { type: 'pid' },
        { type: 'network' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        { type: 'cgroup' },
      ],
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
    },
  } as const;
  return config;
}

/** Who runs a rootless container, in numbers of the host. */
export interface RootlessUser {
  readonly uid: number;
  readonly gid: number;
}

/** Options of mounts that name owners: a rootless container has one user and one group. */
const OWNER_OPTION = /^(uid|gid)=/;

/**
 * The same for a user who is not root, as runc makes it: the container's root is that user, it joins the user's network, and it has
 * no limits, for which he has no rights. (/sys stays a file system of its own: it shows the virtual machine, not the host.)
 */
export function rootlessConfig({ uid, gid }: RootlessUser): Config {
  const { linux, mounts, ...config } = defaultConfig();
  const { resources: _resources, namespaces, ...rest } = linux ?? {};
  return {
    ...config,
    mounts: (mounts ?? []).map(({ options, ...mount }) =>
      options === undefined ? mount : { ...mount, options: options.filter((option) => !OWNER_OPTION.test(option)) },
    ),
    linux: {
      ...rest,
      namespaces: [...(namespaces ?? []).filter(({ type }) => type !== 'network'), { type: 'user' }],
      uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
    },
  };
}
