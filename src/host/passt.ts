// passt, the program that is a guest's network without any privilege: it makes the guest's connections with sockets of its own.
import { execFile } from 'node:child_process';
import { type BackEndError, BackEndProcess, findProgram } from './back-end-process.ts';

const PROGRAMS = [{ path: '/usr/bin/passt' }];
const HELP_TIMEOUT_MS = 5000;
const MAXIMUM_PORT = 65535;

/** How frames go between the guest and passt. */
export type PasstMode =
  /** passt works on the guest's rings by itself. */
  | 'vhost-user'
  /** Frame by frame through this process. */
  | 'stream';

/** Ports of the host that lead to the guest. */
export interface PasstPorts {
  /** As `parsePorts` takes them. */
  readonly tcp?: string;
  readonly udp?: string;
}

export interface PasstOptions extends PasstPorts {
  readonly mode: PasstMode;
  /** What passt's DHCP server gives out, bytes. @default 65520 */
  readonly mtu?: number;
  /** Called when it ends by itself, never after its disposal. */
  readonly onEnd?: (failure: BackEndError) => void;
}

/**
 * Reads ports to forward, several with commas between them: `[ADDRESS/]PORT[:GUEST-PORT]`, where a port may be a range,
 * `FIRST-LAST`. Without an address, connections to all of the host's addresses are taken.
 * @returns one text for each, as passt takes it; undefined when this is none
 */
export function parsePorts(text: string): string[] | undefined {
  const items = text.split(',');
  return items.every(isForward) ? items : undefined;
}

function isForward(item: string): boolean {
  const match = /^(?:[\da-fA-F.:]+(?:%[\w.-]+)?\/)?(\d+)(?:-(\d+))?(?::(\d+)(?:-(\d+))?)?$/.exec(item);
  if (match === null) return false;
  const [first, last, guestFirst, guestLast] = match
    .slice(1)
    .map((port) => (port === undefined ? undefined : Number(port)));
  return isRange(first, last) && (guestFirst === undefined || isRange(guestFirst, guestLast));
}

function isRange(first = 0, last = first): boolean {
  return first >= 1 && first <= last && last <= MAXIMUM_PORT;
}

/** @param fd the connection that it talks over */
export function passtCommand({ mode, tcp, udp, mtu }: PasstOptions, program: string, fd: number): string[] {
  const forwards = (flag: string, ports: string | undefined): string[] =>
    (ports === undefined ? [] : (parsePorts(ports) ?? [])).flatMap((port) => [flag, port]);
  return [
    program,
    // It would leave us for the background, and the signal at our end with it.
    '--foreground',
    '--quiet',
    '--fd',
    String(fd),
    ...(mode === 'vhost-user' ? ['--vhost-user'] : []),
    ...(mtu === undefined ? [] : ['--mtu', String(mtu)]),
    ...forwards('--tcp-ports', tcp),
    ...forwards('--udp-ports', udp),
  ];
}

function findPasst(): string {
  return findProgram('passt', PROGRAMS, 'install the package passt').path;
}

/** The better way that the installed passt knows: vhost-user since 2025. @throws BackEndError NOT_FOUND (rejects) */
export async function bestPasstMode(): Promise<PasstMode> {
  const program = findPasst();
  const help = await new Promise<string>((resolve) => {
    // It says the same wherever it says it, and whatever its status is.
    execFile(program, ['--help'], { timeout: HELP_TIMEOUT_MS }, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
  return help.includes('--vhost-user') ? 'vhost-user' : 'stream';
}

/**
 * Starts a passt. As root it becomes nobody, with a file system of nothing, before it touches the network: what it needs it
 * has by descriptors, ports below 1024 are not for it, and it ends when the connection is closed.
 * @throws BackEndError NOT_FOUND, SystemError
 */
export function startPasst(options: PasstOptions): BackEndProcess {
  const { onEnd } = options;
  const program = findPasst();
  return new BackEndProcess({
    name: `${program}, the network of the guest`,
    command: (fd) => passtCommand(options, program, fd),
    socket: 'connected',
    ...(onEnd === undefined ? {} : { onEnd }),
  });
}
