// Stands between containerd and containerd-shim-runc-v2 for as long as that one lives.
import type { EventLoop } from '../../guest-agent/src/event-loop.ts';
import * as abi from '../../guest-agent/src/linux/abi.gen.ts';
import { isErrno } from '../../guest-agent/src/linux/call.ts';
import type { Address } from '../../guest-agent/src/linux/socket.ts';
import { log } from '../../guest-agent/src/log.ts';
import { acceptOn, connect } from '../../guest-agent/src/rpc/listener.ts';
import { SocketStream } from '../../guest-agent/src/rpc/socket-stream.ts';
import { messageOf } from '../../src/lib/errors.ts';
import type { ByteStream } from '../../src/protocol/byte-stream.ts';
import { encodeFrame, type Frame, FrameDecoder } from '../../src/protocol/frame.ts';
import type { SocketFile } from './sockets.ts';
import { type Roots, TaskConversation, type TaskSurroundings } from './task-conversation.ts';

/** containerd has one for each container of a pod. */
const CONNECTIONS_MAX = 1024;
/** How long answers may take to be read when all is over, milliseconds. */
const DRAIN_MS = 2000;

export interface RelayPlaces {
  /** A socket that listens for containerd, and its file. */
  readonly listener: number;
  readonly relay: SocketFile;
  /** Where containerd-shim-runc-v2 listens. */
  readonly shim: SocketFile;
}

/** Relays until containerd-shim-runc-v2 has ended. The files of both sockets are gone then. */
export async function relay(loop: EventLoop, places: RelayPlaces, surroundings: TaskSurroundings): Promise<void> {
  const roots: Roots = new Map();
  const shim: Address = { family: 'unix', path: places.shim.path };
  const joined = new Set<Promise<void>>();
  const join = (fd: number): Promise<void> => {
    const done = joinShim(loop, fd, shim, new TaskConversation(surroundings, roots)).finally(() => joined.delete(done));
    joined.add(done);
    return done;
  };
  const address: Address = { family: 'unix', path: places.relay.path };
  const listener = acceptOn(loop, places.listener, address, CONNECTIONS_MAX, join);
  await ending(loop, shim);
  listener.close();
  places.relay.remove();
  places.shim.remove();
  await loop.settles(Promise.all(joined), DRAIN_MS);
}

/** Settles when nobody serves the address any more. */
async function ending(loop: EventLoop, address: Address): Promise<void> {
  try {
    // Nothing is said on it.
    const life = new SocketStream(loop, await connect(loop, address));
    while ((await life.read()) !== undefined);
  } catch (error) {
    log(`lost containerd-shim-runc-v2: ${messageOf(error)}`);
  }
}

async function joinShim(loop: EventLoop, fd: number, address: Address, conversation: TaskConversation): Promise<void> {
  const containerd = new SocketStream(loop, fd);
  try {
    await converse(containerd, new SocketStream(loop, await connect(loop, address)), conversation);
  } catch (error) {
    log(`closed a connection of containerd: ${messageOf(error)}`);
  } finally {
    containerd.close();
  }
}

/** Passes frames on both ways until one side ends; then both are closed. @throws FrameError; SystemError of a connection that broke */
async function converse(containerd: ByteStream, shim: ByteStream, conversation: TaskConversation): Promise<void> {
  const requests = forward(containerd, (frame) => tell(shim, encode(conversation.request(frame)))).finally(() =>
    shim.close(),
  );
  const responses = forward(shim, async (frame) => {
    const answer = conversation.response(frame);
    // What takes its time does not hold up what comes behind it.
    if (answer instanceof Promise)
      void answer.then((late) => containerd.write(encode(late))).catch(() => containerd.close());
    else await containerd.write(encode(answer));
  }).finally(() => containerd.close());
  await Promise.all([requests, responses]);
}

/** Writes, unless nobody is there any more: what it has said before that is still to be read, and then its end. */
async function tell(shim: ByteStream, bytes: Uint8Array): Promise<void> {
  try {
    await shim.write(bytes);
  } catch (error) {
    if (!isErrno(error, abi.EPIPE)) throw error;
  }
}

async function forward(from: ByteStream, pass: (frame: Frame) => Promise<void>): Promise<void> {
  const decoder = new FrameDecoder();
  for (let bytes = await from.read(); bytes !== undefined; bytes = await from.read()) {
    for (const frame of decoder.push(bytes)) await pass(frame);
  }
  decoder.end();
}

function encode({ streamId, type, payload, flags }: Frame): Uint8Array {
  return encodeFrame(streamId, type, payload, flags);
}
