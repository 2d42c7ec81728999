// A client of the Container Runtime Interface, as kubelet is one.
import { credentials, Metadata } from '@grpc/grpc-js';
import type { UnaryMethod } from '../../../src/api/client.ts';
import * as cri from './cri.gen.ts';

/** Longer than any call takes in an emulated host, milliseconds. */
const DEADLINE_MS = 120_000;

export class CriClient implements Disposable {
  readonly #calls: cri.RuntimeServiceClient;

  /** @param socket path of the engine's socket */
  constructor(socket: string) {
    const options = { 'grpc.enable_http_proxy': 0, 'grpc.default_authority': 'localhost' };
    this.#calls = new cri.RuntimeServiceClient(`unix:${socket}`, credentials.createInsecure(), options);
  }

  /** @throws grpc's error (rejects) */
  call<Request, Response>(
    method: (calls: cri.RuntimeServiceClient) => UnaryMethod<Request, Response>,
    request: Request,
  ): Promise<Response> {
    const options = { deadline: Date.now() + DEADLINE_MS };
    return new Promise((resolve, reject) => {
      method(this.#calls).call(this.#calls, request, new Metadata(), options, (error, response) => {
        if (error === null) resolve(response);
        else reject(error);
      });
    });
  }

  [Symbol.dispose](): void {
    this.#calls.close();
  }
}
