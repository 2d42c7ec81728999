// What the network device needs of the host: either somebody who takes and gives single frames, or somebody who serves the
// queues by itself (vhost-net, passt over vhost-user).
import type { QueueServer } from '../queue-server.ts';
import type { Offloads } from './offloads.ts';

/** A queue server gets the receive and the transmit queue; there are no others then. */
export type NetBackend = PacketBackend | QueueServer;

export function isQueueServer(backend: NetBackend): backend is QueueServer {
  return 'start' in backend;
}

/** What became of a frame for the network: `full` means that it was not taken, and may be tried again when there is room. */
export type SendResult = 'sent' | 'dropped' | 'full';

/**
 * One network, frame by frame, in this process. Every call is synchronous and does not wait; buffers are read or written
 * before it returns and are not kept. In front of each frame there is a struct virtio_net_hdr_v1, little-endian, in both
 * directions: a back end without offloads ignores the one it gets and gives zeros.
 *
 * Errors that concern one frame are for the back end to swallow (`dropped`); what it throws means that the network is gone,
 * and takes the link down.
 */
export interface PacketBackend {
  /** What it can take from the guest, and give it, unfinished. */
  readonly offloads: Offloads;
  /** The driver has started: frames for it may be unfinished in these ways only, a subset of `offloads`. */
  setOffloads(offloads: Offloads): void;
  /**
   * Takes the next frame of the network: header and frame fill the buffers one after the other. What does not fit is lost.
   * `num_buffers` of the header is not the back end's to set.
   * @param buffers guest memory: at most 1024, in all at least the 12 bytes of the header and one more
   * @returns bytes written, the header's included; 0 when there is no frame now
   */
  receive(buffers: readonly Uint8Array[]): number;
  /**
   * Gives a frame to the network.
   * @param header 12 bytes of ours, checked against what the driver negotiated
   * @param frame 14 to 65553 bytes of guest memory, which the guest may change while we look; at most 1024 buffers
   */
  send(header: Uint8Array, frame: readonly Uint8Array[]): SendResult;
  /** Calls back for as long as there is a frame to receive; undefined ends that, and is no error when nothing was begun. */
  awaitFrames(onFrames: (() => void) | undefined): void;
  /** Calls back for as long as there is room to send, after `full`; undefined ends that. */
  awaitRoom(onRoom: (() => void) | undefined): void;
}
