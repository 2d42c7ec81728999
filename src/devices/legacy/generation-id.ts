// The VM generation identifier: 16 bytes in guest memory that are new whenever the VM goes on from a snapshot, so that two VMs
// of one snapshot do not share random numbers. The guest is told of a change by an event.
// Source: Microsoft, "Virtual Machine Generation ID" (2012); QEMU, docs/specs/vmgenid.rst.
import { SavedFields, SavedStateError } from '../saved-state.ts';

export const GENERATION_ID_SIZE = 16;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Where the bytes of the UUID's text are in memory: a GUID has its first three groups little-endian. */
const GUID_BYTE_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

export interface GenerationIdConnections {
  /** Writes the identifier to its place in guest memory. */
  readonly write: (bytes: Uint8Array) => void;
  /** Tells the guest that it has changed. */
  readonly notify: () => void;
}

/** Plain JSON. */
export interface GenerationIdState {
  readonly generation: string;
}

export class GenerationId {
  readonly #connections: GenerationIdConnections;
  #generation: string;

  /**
   * @param generation a random UUID. Its bytes are in guest memory once `publish` has been called.
   * @throws RangeError when it is no UUID
   */
  constructor(generation: string, connections: GenerationIdConnections) {
    this.#connections = connections;
    this.#generation = readUuid(generation);
  }

  get generation(): string {
    return this.#generation;
  }

  /** Writes the identifier to guest memory, for a guest that has not started. */
  publish(): void {
    this.#connections.write(guidBytes(this.#generation));
  }

  /**
   * Gives the VM another identifier and tells the guest: after a restore, before it runs.
   * @param generation a random UUID
   * @throws RangeError when it is no UUID
   */
  setGeneration(generation: string): void {
    this.#generation = readUuid(generation);
    this.publish();
    this.#connections.notify();
  }

  saveState(): GenerationIdState {
    return { generation: this.#generation };
  }

  /** Guest memory comes back by itself. @throws SavedStateError */
  restoreState(state: unknown): void {
    const generation = new SavedFields('generation id', state).string('generation');
    if (!UUID.test(generation)) throw new SavedStateError('generation id', 'generation', generation, 'a UUID');
    this.#generation = generation;
  }
}

function readUuid(text: string): string {
  if (!UUID.test(text)) throw new RangeError(`the generation ${JSON.stringify(text)} is no UUID`);
  return text.toLowerCase();
}

function guidBytes(uuid: string): Uint8Array {
  const digits = uuid.replaceAll('-', '');
  return Uint8Array.from(GUID_BYTE_ORDER, (at) => Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16));
}
