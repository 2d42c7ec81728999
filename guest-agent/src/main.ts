// The agent: readies the guest, then answers the host until it is told to end.
import './globals.ts';
import { argv } from 'tskata-sys';
import { messageOf } from '../../src/lib/errors.ts';
import {
  AGENT_LOOPBACK_PORT,
  AGENT_RPC_PORT,
  AGENT_STDIO_PORT,
  agentService,
} from '../../src/protocol/agent-service.ts';
import { ByteBudget } from '../../src/protocol/byte-budget.ts';
import { MethodTable, serveConnection } from '../../src/protocol/server.ts';
import { agentHandlers } from './agent.ts';
import { prepareCgroups } from './boot/cgroups.ts';
import { bootGuest } from './boot/guest.ts';
import { ContainerManager } from './container/manager.ts';
import { EventLoop } from './event-loop.ts';
import { EventHub } from './events.ts';
import { watchGuestMemory } from './guest-memory.ts';
import { processOnly, realGuest } from './guest-port.ts';
import { Helpers } from './helpers.ts';
import * as abi from './linux/abi.gen.ts';
import { processorTime, readClock } from './linux/machine.ts';
import { blockSignals, prctl } from './linux/process.ts';
import type { Address } from './linux/socket.ts';
import { log } from './log.ts';
import { joinLoopback, LOOPBACK_CONNECTIONS_MAX } from './network/loopback.ts';
import { raiseOpenFileLimit } from './open-file-limit.ts';
import { Reaper } from './reaper.ts';
import { connect, serve } from './rpc/listener.ts';
import { SocketStream } from './rpc/socket-stream.ts';
import { ANONYMOUS_MAX, StreamRegistry } from './stdio/registry.ts';

const enteredNs = readClock(abi.CLOCK_BOOTTIME);

/** Pauses between attempts to reach the host, milliseconds: first, and at most. */
const CONNECT_PAUSE_MS = 10;
const CONNECT_PAUSE_MAX_MS = 1000;

/** Where the agent is reached: on vsock in a guest, in a directory of sockets with `--listen-unix DIRECTORY`. */
function parseArguments(): { unixDirectory: string | undefined } {
  const [, option, directory, ...rest] = argv;
  if (option === undefined || !option.startsWith('--')) return { unixDirectory: undefined };
  if (option === '--listen-unix' && directory !== undefined && rest.length === 0) return { unixDirectory: directory };
  throw new Error('usage: agent (as pid 1 of a guest), or: agent --listen-unix DIRECTORY');
}

const { unixDirectory } = parseArguments();
const addressOf = (port: number, name: string): Address =>
  unixDirectory === undefined
    ? { family: 'vsock', cid: abi.VMADDR_CID_ANY, port }
    : { family: 'unix', path: `${unixDirectory}/${name}` };

// Signals are read, not handled; a write to a closed connection must be an error, not the end.
blockSignals(true);
// A process between fork and execve is a copy of the agent: nobody in a container may look into it.
prctl('PR_SET_DUMPABLE', abi.PR_SET_DUMPABLE, 0);
if (unixDirectory === undefined) bootGuest();
prepareCgroups();
raiseOpenFileLimit();

const loop = new EventLoop();
const streams = new StreamRegistry(loop);
/** Only in a guest is the kernel's log about this guest alone. */
const events = new EventHub(unixDirectory === undefined ? (tell) => watchGuestMemory(loop, tell) : undefined);
const reaper = new Reaper(loop);
const helpers = new Helpers(loop, reaper);
const containers = new ContainerManager({ loop, reaper, streams, events });
const stopContainers = (): Promise<void> => containers.destroyAll();
const guest = unixDirectory === undefined ? realGuest(loop, stopContainers) : processOnly(loop, stopContainers);
const table = new MethodTable();

/** Connections for calls that there may be at once. */
const CONNECTIONS_MAX = 64;
/** With what streams may hold (relay.ts) two thirds of what main.c allows, so that all else has room. */
const limits = { frames: new ByteBudget(12 * 1024 * 1024), calls: new ByteBudget(24 * 1024 * 1024) };

async function answerOn(fd: number): Promise<void> {
  try {
    await serveConnection(new SocketStream(loop, fd), table, limits);
  } catch (error) {
    log(`closed a connection: ${messageOf(error)}`);
  }
}

/** Connects to the host and serves it; when the connection ends, connects again. */
async function serveHost(): Promise<never> {
  const address: Address = { family: 'vsock', cid: abi.VMADDR_CID_HOST, port: AGENT_RPC_PORT };
  for (let pauseMs = CONNECT_PAUSE_MS; ; ) {
    try {
      const fd = await connect(loop, address);
      pauseMs = CONNECT_PAUSE_MS;
      await answerOn(fd);
    } catch (error) {
      if (pauseMs === CONNECT_PAUSE_MS) log(`cannot reach the host, still trying: ${messageOf(error)}`);
      pauseMs = Math.min(2 * pauseMs, CONNECT_PAUSE_MAX_MS);
    }
    await loop.delay(pauseMs);
  }
}

serve(loop, addressOf(AGENT_RPC_PORT, 'agent.sock'), CONNECTIONS_MAX, answerOn);
serve(loop, addressOf(AGENT_STDIO_PORT, 'stdio.sock'), ANONYMOUS_MAX, (fd) => streams.connect(fd));
serve(loop, addressOf(AGENT_LOOPBACK_PORT, 'loopback.sock'), LOOPBACK_CONNECTIONS_MAX, (fd) => joinLoopback(loop, fd));
const startTimes = { enteredNs, readyNs: readClock(abi.CLOCK_BOOTTIME), ...processorTime() };
table.add(agentService, agentHandlers(guest, containers, startTimes, loop, helpers));
if (unixDirectory === undefined) void serveHost();

/** One turn of the event loop; main.c calls it for ever. */
export function turn(): void {
  loop.turn();
}
