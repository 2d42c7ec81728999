// Where the two shims listen: containerd-shim-runc-v2 at a socket that it names, ours at one beside it.

const SCHEME = 'unix://';
const SUFFIX = '.tskata';

/** The socket that containerd is to use in the place of that of containerd-shim-runc-v2: the same for all containers of a pod. */
export function relaySocket(shimSocket: string): string {
  return `${shimSocket}${SUFFIX}`;
}

/** @returns undefined for what is no socket of ours */
export function shimSocket(relaySocket: string): string | undefined {
  return relaySocket.endsWith(SUFFIX) ? relaySocket.slice(0, -SUFFIX.length) : undefined;
}

export function toAddress(socket: string): string {
  return `${SCHEME}${socket}`;
}

/** @returns undefined for what is no address of a Unix socket */
export function toSocket(address: string): string | undefined {
  return address.startsWith(`${SCHEME}/`) ? address.slice(SCHEME.length).trim() : undefined;
}

export interface Started {
  readonly shimSocket: string;
  /** The same text with another socket in it. */
  readonly withSocket: (socket: string) => string;
}

/**
 * What containerd-shim-runc-v2 says when it has started: an address, or its parameters as JSON with that in it (containerd 1.7,
 * BootstrapParams).
 * @throws Error for what is neither
 */
export function parseStarted(output: string): Started {
  const text = output.trim();
  const address = text.startsWith('{') ? String((JSON.parse(text) as { address?: unknown }).address) : text;
  const socket = toSocket(address);
  if (socket === undefined) throw new Error(`containerd-shim-runc-v2 has told no address of a Unix socket: ${text}`);
  return { shimSocket: socket, withSocket: (other) => text.replace(address, toAddress(other)) };
}
