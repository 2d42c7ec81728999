// What a proxy is asked to do, as it reads it from its starter: see native/proxy/README.md. Not by its arguments, which are
// those of the process that it stands for, and which everybody on the host may read.

/** A path of the host that the container sees. */
export interface Volume {
  readonly source: string;
  /** In the container. */
  readonly target: string;
  readonly readOnly: boolean;
  /** With the mounts below it. */
  readonly recursive: boolean;
}

/** Kinds of namespaces on the host that are a container's own, as /proc/PID/ns names them. */
export const HOST_NAMESPACES = { network: 'net', ipc: 'ipc', uts: 'uts' } as const;
export type HostNamespaceType = keyof typeof HOST_NAMESPACES;

/** A namespace for a proxy: a new one where there is no path. */
export interface HostNamespace {
  readonly type: HostNamespaceType;
  readonly path?: string;
}

/** Where on the host a container's init seems to be, to those who look by its pid. */
export interface HostPlace {
  readonly namespaces: readonly HostNamespace[];
  /** Absolute path of the root file system. */
  readonly rootfs: string;
  readonly readOnly: boolean;
  readonly volumes: readonly Volume[];
}

export interface ProxyOptions {
  /** Names the streams: a secret. */
  readonly token: string;
  readonly terminal: 'none' | 'own' | { readonly consoleSocket: string };
  readonly consoleSize?: { readonly height: number; readonly width: number };
  readonly pidfdSocket?: string;
  /** Its own place, or the proxy whose place it shares. */
  readonly place: HostPlace | { readonly pid: number };
  /** As ps(1) shows it. */
  readonly commandLine: readonly string[];
}

/** NUL-terminated strings, and an empty one. */
export function encodeProxyRequest(options: ProxyOptions): string {
  return `${proxyOptionStrings(options).join('\0')}\0\0`;
}

function proxyOptionStrings({ token, terminal, consoleSize, pidfdSocket, place }: ProxyOptions): string[] {
  const strings = [`--token=${token}`];
  if (terminal === 'own') strings.push('--terminal');
  if (typeof terminal === 'object') strings.push(`--console-socket=${terminal.consoleSocket}`);
  if (consoleSize !== undefined) strings.push(`--console-size=${consoleSize.height}x${consoleSize.width}`);
  if (pidfdSocket !== undefined) strings.push(`--pidfd-socket=${pidfdSocket}`);
  return [...strings, ...('pid' in place ? [`--join-proxy=${place.pid}`] : placeStrings(place))];
}

function placeStrings({ namespaces, rootfs, readOnly, volumes }: HostPlace): string[] {
  return [
    ...namespaces.map(({ type, path }) =>
      path === undefined ? `--new=${HOST_NAMESPACES[type]}` : `--join=${HOST_NAMESPACES[type]}:${path}`,
    ),
    `--root=${rootfs}`,
    ...(readOnly ? ['--read-only-root'] : []),
    ...volumes.flatMap(({ source, target, readOnly, recursive }) => [
      `--source=${source}`,
      ...(readOnly ? ['--flag=ro'] : []),
      ...(recursive ? ['--flag=rbind'] : []),
      `--target=${target}`,
    ]),
  ];
}

/** A command line may be longer than the kernel takes for ours: who looks at it sees its beginning. Characters. */
const COMMAND_LINE_MAX = 4096;

/** What ps(1) shall show for a process of a container: its program and arguments, and whose it is. */
export function proxyCommandLine(args: readonly string[], containerId: string): string[] {
  let left = COMMAND_LINE_MAX;
  const shown: string[] = [];
  for (const argument of args) {
    if (left <= 0) break;
    // An argument ends at a NUL for the process in the guest, too.
    const text = (argument.split('\0')[0] ?? '').slice(0, left);
    left -= text.length + 1;
    shown.push(text);
  }
  return [...shown, `[tskata ${containerId}]`];
}
