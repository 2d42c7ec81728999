// AttachConsole: many readers of a console, one of whom may write. The user's own terminal at `tsvm boot` is beside them, and
// may always write.
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { StatusError } from '../protocol/status.ts';
import type { ConsoleAttachment, ConsoleName } from '../vmm/operations.ts';
import { streamError } from './call-error.ts';
import { ConsoleBacklog, type ConsolePiece } from './console-backlog.ts';
import type { VmControl } from './control.ts';
import { consoleName } from './messages.ts';
import { Pump } from './pump.ts';
import { type ConsoleAttach, ConsoleMode, type ConsoleRequest, type ConsoleResponse } from './vmm.gen.ts';

type ConsoleCall = ServerDuplexStream<ConsoleRequest, ConsoleResponse>;

export class ConsoleSessions {
  readonly #vm: VmControl;
  readonly #sessions = new Set<Session>();
  readonly #writers = new Map<ConsoleName, Session>();

  constructor(vm: VmControl) {
    this.#vm = vm;
  }

  /** Serves one call to its end. */
  serve(call: ConsoleCall): void {
    const session = new Session(call, (attach) => this.#attach(session, attach));
    this.#sessions.add(session);
    call.once('close', () => {
      this.#sessions.delete(session);
      for (const [name, writer] of this.#writers) if (writer === session) this.#writers.delete(name);
    });
  }

  /** Ends all calls, each when its caller has read what is left. */
  finish(): void {
    for (const session of this.#sessions) session.finish();
  }

  /** @throws StatusError, VmOperationError */
  #attach(session: Session, { console, mode }: ConsoleAttach): Attached {
    const name = consoleName(console, this.#vm.summary);
    const before = this.#writers.get(name);
    switch (mode) {
      case ConsoleMode.UNSPECIFIED:
      case ConsoleMode.READ_ONLY:
        break;
      case ConsoleMode.READ_WRITE:
        if (before !== undefined) {
          throw new StatusError(
            'FAILED_PRECONDITION',
            `another caller writes to ${name}; take it over, or attach read-only`,
          );
        }
        break;
      case ConsoleMode.TAKE_OVER:
        break;
      default:
        throw new StatusError('INVALID_ARGUMENT', `there is no console mode ${String(mode)}`);
    }
    const attachment = this.#vm.attachConsole(name, (bytes) => {
      session.output(bytes);
      return undefined;
    });
    const mayWrite = mode === ConsoleMode.READ_WRITE || mode === ConsoleMode.TAKE_OVER;
    if (mayWrite) {
      before?.inputTaken();
      this.#writers.set(name, session);
    }
    return { name, attachment, mayWrite };
  }
}

interface Attached {
  readonly name: ConsoleName;
  readonly attachment: ConsoleAttachment;
  readonly mayWrite: boolean;
}

/** One caller. */
class Session {
  readonly #call: ConsoleCall;
  readonly #attach: (request: ConsoleAttach) => Attached;
  readonly #backlog = new ConsoleBacklog();
  readonly #pump: Pump<ConsoleResponse>;
  /** Said before any further output. */
  readonly #notices: ConsoleResponse[] = [];
  #attachment: ConsoleAttachment | undefined;
  #mayWrite = false;

  constructor(call: ConsoleCall, attach: (request: ConsoleAttach) => Attached) {
    this.#call = call;
    this.#attach = attach;
    this.#pump = new Pump(call, () => this.#notices.shift() ?? pieceMessage(this.#backlog.take()));
    call.on('data', (request: ConsoleRequest) => this.#receive(request));
    call.on('end', () => {
      // A caller that has said all may still read, as `tsvm ctl console </dev/null` does.
      this.#mayWrite = false;
      if (this.#attachment === undefined) this.#fail(new StatusError('INVALID_ARGUMENT', NOT_ATTACHED));
    });
    call.on('error', () => this.#close());
    call.once('close', () => this.#close());
    call.once('cancelled', () => this.#close());
  }

  /** Never makes the guest wait: the backlog is bounded. */
  output(bytes: Uint8Array): undefined {
    this.#backlog.push(bytes);
    this.#pump.wake();
  }

  inputTaken(): void {
    this.#mayWrite = false;
    this.#tell({ $case: 'inputTaken', value: {} });
  }

  finish(): void {
    this.#attachment?.[Symbol.dispose]();
    this.#pump.finish();
  }

  #receive({ request }: ConsoleRequest): void {
    switch (request?.$case) {
      case 'attach':
        if (this.#attachment === undefined) this.#begin(request.value);
        else this.#fail(new StatusError('INVALID_ARGUMENT', 'this call is attached already'));
        break;
      case 'input':
        if (this.#attachment === undefined) this.#fail(new StatusError('INVALID_ARGUMENT', NOT_ATTACHED));
        else if (this.#mayWrite) this.#write(this.#attachment, request.value);
        break;
      case undefined:
        this.#fail(new StatusError('INVALID_ARGUMENT', 'the message is neither `attach` nor `input`'));
    }
  }

  #write(attachment: ConsoleAttachment, bytes: Uint8Array): void {
    const room = attachment.write(bytes);
    if (room === undefined) return;
    // While the guest does not read, nothing is taken from the caller: HTTP/2 makes it wait.
    this.#call.pause();
    void room.then(() => this.#call.resume());
  }

  #begin(attach: ConsoleAttach): void {
    try {
      const { name, attachment, mayWrite } = this.#attach(attach);
      this.#attachment = attachment;
      this.#mayWrite = mayWrite;
      this.#tell({ $case: 'attached', value: { console: name } });
    } catch (error) {
      this.#fail(error);
    }
  }

  #tell(response: NonNullable<ConsoleResponse['response']>): void {
    this.#notices.push({ response });
    this.#pump.wake();
  }

  #fail(error: unknown): void {
    this.#close();
    this.#call.emit('error', streamError(error));
  }

  #close(): void {
    this.#mayWrite = false;
    this.#pump.close();
    this.#attachment?.[Symbol.dispose]();
  }
}

const NOT_ATTACHED = 'the first message has to be `attach`';

function pieceMessage(piece: ConsolePiece | undefined): ConsoleResponse | undefined {
  if (piece === undefined) return undefined;
  return {
    response:
      'lostBytes' in piece ? { $case: 'lostBytes', value: piece.lostBytes } : { $case: 'output', value: piece.output },
  };
}
