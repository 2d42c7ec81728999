// The API's other end: what `tsvm ctl` calls, with errors that a person can act on.
import { once } from 'node:events';
import { connect } from 'node:net';
import { resolve as resolvePath } from 'node:path';
import { type CallOptions, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { checkSocketPath } from '../host/unix-listener.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { type StatusName, statusName } from '../protocol/status.ts';
import { ApiError, type ApiErrorCode } from './api-error.ts';
import { VirtualMachineClient } from './vmm.gen.ts';

/** Largest answer, bytes. */
const MAXIMUM_RESPONSE = 4 * 1024 * 1024;

/** A call was answered with an error: `code` is the name of the gRPC status code. */
export class CallError extends TskataError<StatusName> {}

/** A generated method of one question and one answer. */
export type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

const REFUSALS: Readonly<Record<string, { readonly code: ApiErrorCode; readonly why: string }>> = {
  ENOENT: {
    code: 'NO_SOCKET',
    why: 'there is no such socket: the VM has ended, or was started without --api-socket or with another path',
  },
  ECONNREFUSED: { code: 'NOBODY_LISTENS', why: 'nobody listens there: the VM that made this socket was killed' },
  ENOTSOCK: { code: 'NOT_A_SOCKET', why: 'this is no socket' },
  EACCES: { code: 'NO_PERMISSION', why: "permission denied: the socket is for the VM's user (and root) alone" },
};

/** Finds out by a connection that says nothing why there can be none. @throws ApiError (rejects) */
async function probe(path: string): Promise<void> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (cause) {
    const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    const { code, why } = REFUSALS[errno] ?? { code: 'CONNECTION' as const, why: messageOf(cause) };
    throw new ApiError(code, `cannot reach a VM at ${path}: ${why}`, { path }, { cause });
  } finally {
    socket.destroy();
  }
}

/** A VM behind its API's socket. */
export class VmClient implements Disposable {
  readonly path: string;
  /** For the calls with streams; `failure` says what they fail with. */
  readonly calls: VirtualMachineClient;

  private constructor(path: string) {
    this.path = path;
    this.calls = new VirtualMachineClient(`unix:${resolvePath(path)}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': MAXIMUM_RESPONSE,
      'grpc.enable_http_proxy': 0,
      'grpc.enable_retries': 0,
      // A connection of its own, which no other client's unread answers hold up.
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  /** @throws ApiError, UnixListenerError saying why nobody can be reached (rejects) */
  static async connect(path: string): Promise<VmClient> {
    checkSocketPath(path);
    await probe(path);
    return new VmClient(path);
  }

  /**
   * Calls, and waits for the answer.
   * @param method a method of `calls`
   * @param timeoutMs deadline; without one the answer is waited for without end
   * @throws CallError, ApiError (rejects)
   */
  call<Request, Response>(
    method: (calls: VirtualMachineClient) => UnaryMethod<Request, Response>,
    request: Request,
    timeoutMs?: number,
  ): Promise<Response> {
    const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
    return new Promise((resolve, reject) => {
      method(this.calls).call(this.calls, request, new Metadata(), options, (error, response) => {
        if (error === null) resolve(response);
        else reject(this.failure(error));
      });
    });
  }

  /** What a failed call means. */
  failure(error: ServiceError): CallError | ApiError {
    const { path } = this;
    if (error.code === status.UNAVAILABLE) {
      const message = `the connection to the VM at ${path} was lost: ${error.details}`;
      return new ApiError('CONNECTION', message, { path }, { cause: error });
    }
    return new CallError(statusName(error.code), error.details, { path }, { cause: error });
  }

  [Symbol.dispose](): void {
    this.calls.close();
  }
}
