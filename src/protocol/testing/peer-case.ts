// What a server of the agent's service answers to a peer that sends what it likes: the same on every engine, byte for byte.
import { agentService } from '../agent-service.ts';
import type { ByteStream } from '../byte-stream.ts';
import { FrameError } from '../frame.ts';
import { ItemQueue } from '../item-queue.ts';
import { MethodTable, serveConnection } from '../server.ts';
import { StatusError } from '../status.ts';

/** What a peer sends, in the pieces in which it arrives. */
export type PeerCase = readonly Uint8Array[];

/** Turns of the promise queue after which a server whose handlers wait for nothing has answered all that it will. */
const SETTLING_TURNS = 200;

/** Any message as text, which says all of it. */
function describe(message: unknown): string {
  return JSON.stringify(message, (_name, value: unknown) => {
    if (value instanceof Uint8Array) return `bytes:${hexOf(value)}`;
    return typeof value === 'bigint' ? `bigint:${value}` : value;
  });
}

/**
 * Every method of the agent, with handlers that say what they were asked, as text in an error: so an answer has in it what
 * was decoded. A stream gives two empty items, and ends if its request is not empty.
 */
function echoingTable(): MethodTable {
  const handlers = Object.entries(agentService.methods).map(([name, method]) => {
    if (method.kind === 'serverStream') {
      return [
        name,
        (request: object) => {
          const items = new ItemQueue(2);
          for (const _ of [1, 2]) items.push(method.response.decode(new Uint8Array(0)));
          if (Object.values(request).some((value) => value !== '')) items.end();
          return items;
        },
      ];
    }
    return [name, async (request: object) => Promise.reject(new StatusError('ABORTED', describe(request)))];
  });
  return new MethodTable().add(agentService, Object.fromEntries(handlers));
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Runs one case. @returns every byte that the peer got, in hexadecimal digits, a space, and how the connection ended */
export async function answerTo(pieces: PeerCase): Promise<string> {
  const waiting = [...pieces];
  const written: string[] = [];
  const stream: ByteStream = {
    read: async () => {
      const piece = waiting.shift();
      if (piece !== undefined) return piece;
      for (let turn = 0; turn < SETTLING_TURNS; turn++) await Promise.resolve();
      return undefined;
    },
    write: async (bytes) => {
      written.push(hexOf(bytes));
    },
    close: () => {},
  };
  const ending = await serveConnection(stream, echoingTable()).then(
    () => 'ended',
    (error: unknown) => (error instanceof FrameError ? error.code : `UNEXPECTED ${String(error)}`),
  );
  return `${written.join('')} ${ending}`;
}
