// The management API's server: calls become requests to the VM, and what the VM says becomes answers. Nobody who calls can
// make the VM wait: what a caller does not read is bounded, and a caller that is gone is forgotten.

import type { Socket } from 'node:net';
import { isAbsolute } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { listenOwnerOnly } from '../host/unix-listener.ts';
import { TIMER_MAX_MS } from '../lib/units.ts';
import { StatusError } from '../protocol/status.ts';
import { callError, streamError } from './call-error.ts';
import { ConsoleSessions } from './console-sessions.ts';
import type { VmControl } from './control.ts';
import {
  balloonMessage,
  checkTerminalSize,
  eventMessage,
  metricsMessage,
  shutdownMethod,
  stoppedMessage,
  vmMessage,
  watchingMessage,
} from './messages.ts';
import { Pump } from './pump.ts';
import {
  type Event,
  type ShutdownRequest,
  type ShutdownResponse,
  type VirtualMachineServer,
  VirtualMachineService,
  type WatchEventsRequest,
} from './vmm.gen.ts';

/** Bytes of a request; console input comes in pieces. */
const MAXIMUM_REQUEST = 64 * 1024;
/** Connections at once; further ones are closed. */
const MAXIMUM_CONNECTIONS = 64;
/** Calls at once of one connection. */
const MAXIMUM_CALLS = 32;
/** Events that wait for a slow caller. */
const MAXIMUM_EVENTS = 1024;
/** What callers get to read their last answers when the API ends, milliseconds. */
const GRACE_MS = 500;

/** A served API. Disposing it ends all calls and removes the socket. */
export interface ApiServer extends AsyncDisposable {
  readonly path: string;
}

/**
 * Serves a VM's API on a Unix socket. It is there until it is disposed, after the VM's end too.
 * @throws UnixListenerError when the socket cannot be had (rejects)
 */
export async function serveApi(path: string, vm: VmControl): Promise<ApiServer> {
  const server = new Server({
    'grpc.max_receive_message_length': MAXIMUM_REQUEST,
    'grpc.max_concurrent_streams': MAXIMUM_CALLS,
  });
  const calls = new Calls(vm);
  server.addService(VirtualMachineService, calls.handlers);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const listener = await listenOwnerOnly(path, {}, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    injector.injectConnection(socket);
  });
  listener.maxConnections = MAXIMUM_CONNECTIONS;
  const end = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    calls.finish();
    server.tryShutdown(() => undefined);
    await Promise.race([closed, delay(GRACE_MS, undefined, { ref: false })]);
    server.forceShutdown();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  let ended: Promise<void> | undefined;
  return {
    path,
    [Symbol.asyncDispose]() {
      ended ??= end();
      return ended;
    },
  };
}

class Calls {
  readonly #vm: VmControl;
  readonly #consoles: ConsoleSessions;
  readonly #watchers = new Set<Pump<Event>>();

  constructor(vm: VmControl) {
    this.#vm = vm;
    this.#consoles = new ConsoleSessions(vm);
  }

  get handlers(): VirtualMachineServer & UntypedServiceImplementation {
    const vm = this.#vm;
    return {
      getState: unary(() => vmMessage(vm)),
      pause: unary(async () => {
        await vm.pause();
        return {};
      }),
      resume: unary(() => {
        vm.resume();
        return {};
      }),
      shutdown: unary((request) => this.#shutdown(request)),
      kill: unary(async () => {
        vm.kill();
        return { stopped: stoppedMessage(await vm.stopped) };
      }),
      snapshot: unary(async ({ directory, resume }) => {
        if (!isAbsolute(directory) || directory.includes('\0')) {
          throw new StatusError('INVALID_ARGUMENT', `${JSON.stringify(directory)} is no absolute path of a folder`);
        }
        await vm.snapshot(directory, { resume });
        return {};
      }),
      getMetrics: unary(() => metricsMessage(vm.metrics())),
      watchEvents: (call) => this.#watch(call),
      setBalloon: unary(({ targetMib }) => {
        vm.setBalloonTarget(targetMib);
        return {};
      }),
      getBalloonStats: unary(async () => balloonMessage(await vm.balloonStats())),
      resize: unary(({ memoryMib, cpus }) => vm.resize({ memoryMib, cpus })),
      setLink: unary(({ device, up }) => {
        vm.setLink(device, up);
        return {};
      }),
      resizeConsole: unary(({ columns, rows }) => {
        checkTerminalSize('columns', columns);
        checkTerminalSize('rows', rows);
        vm.resizeConsole(columns, rows);
        return {};
      }),
      attachConsole: (call) => this.#consoles.serve(call),
    };
  }

  /** Ends the streams, each when its caller has read what is left. */
  finish(): void {
    for (const pump of this.#watchers) pump.finish();
    this.#consoles.finish();
  }

  async #shutdown({ method, timeoutMs }: ShutdownRequest): Promise<ShutdownResponse> {
    const vm = this.#vm;
    let timedOut = false;
    const giveUp = (): void => {
      timedOut = true;
      vm.kill();
    };
    const timer = timeoutMs === 0 ? undefined : setTimeout(giveUp, Math.min(timeoutMs, TIMER_MAX_MS));
    try {
      await vm.shutdown(shutdownMethod(method));
      return { stopped: stoppedMessage(await vm.stopped), timedOut };
    } finally {
      clearTimeout(timer);
    }
  }

  #watch(call: Parameters<handleServerStreamingCall<WatchEventsRequest, Event>>[0]): void {
    const waiting: Event[] = [watchingMessage(this.#vm.state)];
    const pump = new Pump<Event>(call, () => waiting.shift());
    const watch = this.#vm.watch((event) => {
      if (waiting.length === MAXIMUM_EVENTS) {
        leave();
        call.emit('error', streamError(new StatusError('RESOURCE_EXHAUSTED', 'too many events were left unread')));
        return;
      }
      waiting.push(eventMessage(event));
      pump.wake();
      if (event.kind === 'stopped') pump.finish();
    });
    const leave = (): void => {
      watch[Symbol.dispose]();
      pump.close();
      this.#watchers.delete(pump);
    };
    this.#watchers.add(pump);
    call.once('close', leave);
    call.once('cancelled', leave);
    pump.wake();
    if (this.#vm.state === 'ended') pump.finish();
  }
}

/** A call of one question and one answer. What the handler throws is the call's status. */
function unary<Request, Response>(
  handle: (request: Request) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, respond) => {
    const answer = async (): Promise<Response> => handle(call.request);
    answer().then(
      (response) => respond(null, response),
      (error: unknown) => respond(callError(error)),
    );
  };
}
