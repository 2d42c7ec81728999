// What containerd and containerd-shim-runc-v2 say to each other, frame by frame, and where we put something else. No I/O.
import { DeleteRequest, TaskRequest } from '../../src/protocol/containerd.gen.ts';
import { type Frame, MessageType } from '../../src/protocol/frame.ts';
import { encodeAnswer, encodeRefusal } from '../../src/protocol/method-table.ts';
import { StatusCode } from '../../src/protocol/status.ts';
import { Request, Response } from '../../src/protocol/ttrpc.gen.ts';
import { type GuestStats, withGuestStats } from './metrics.ts';
import { completeCreate } from './options.ts';

/** Of containerd 1.x, and of 2.x, whose messages are the same. */
const TASK_SERVICE = /^containerd\.task\.v[23]\.Task$/;

/** The rest of the world. */
export interface TaskSurroundings {
  /** Absolute path of our runtime. */
  readonly program: string;
  /** The text of config.json of a bundle. */
  readConfig(bundle: string): string;
  /** Asks the guest. @param root the runtime's folder of states, that of the namespace in it not among it */
  guestStats(root: string, containerId: string): Promise<GuestStats>;
}

/** The containers of a shim, by their ids: the folder of states of each. All connections share them. */
export type Roots = Map<string, string>;

/** One connection of containerd. */
export class TaskConversation {
  readonly #surroundings: TaskSurroundings;
  readonly #roots: Roots;
  /** The container that is asked about on a stream. */
  readonly #asked = new Map<number, string>();

  constructor(surroundings: TaskSurroundings, roots: Roots) {
    this.#surroundings = surroundings;
    this.#roots = roots;
  }

  /** @returns what containerd-shim-runc-v2 is to get in the place of a frame of containerd. @throws Error of what cannot be read */
  request(frame: Frame): Frame {
    if (frame.type !== MessageType.REQUEST) return frame;
    const request = Request.decode(frame.payload);
    if (!TASK_SERVICE.test(request.service)) return frame;
    if (request.method === 'Create') {
      const { program, readConfig } = this.#surroundings;
      const created = completeCreate(request.payload, program, readConfig);
      this.#roots.set(created.id, created.root);
      return { ...frame, payload: Request.encode({ ...request, payload: created.request }) };
    }
    if (request.method === 'Stats') this.#asked.set(frame.streamId, TaskRequest.decode(request.payload).id);
    if (request.method === 'Delete') {
      const { id, execId } = DeleteRequest.decode(request.payload);
      if (execId === '') this.#roots.delete(id);
    }
    return frame;
  }

  /** @returns what containerd is to get in the place of a frame of containerd-shim-runc-v2; at once where that is the same */
  response(frame: Frame): Frame | Promise<Frame> {
    const containerId = this.#asked.get(frame.streamId);
    if (frame.type !== MessageType.RESPONSE || containerId === undefined) return frame;
    this.#asked.delete(frame.streamId);
    const root = this.#roots.get(containerId);
    const { status, payload } = Response.decode(frame.payload);
    // Its own error says it better: there is no such container, or it has ended.
    if (root === undefined || (status?.code ?? StatusCode.OK) !== StatusCode.OK) return frame;
    // Whatever goes wrong with what a guest says, its call fails, and not the connection.
    return this.#surroundings
      .guestStats(root, containerId)
      .then((stats) => encodeAnswer(withGuestStats(payload, stats)))
      .catch(encodeRefusal)
      .then((changed) => ({ ...frame, payload: changed }));
  }
}
