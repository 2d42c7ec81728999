// epoll(7).
import * as abi from './abi.gen.ts';
import { call, structure } from './call.ts';
import { close } from './file.ts';

/** Events taken from the kernel at once. */
const BATCH = 32;

/** One epoll instance. Descriptors are told apart by an id that the caller chooses. */
export class Epoll {
  readonly #fd = call('epoll_create1', '', abi.SYS_epoll_create1, abi.EPOLL_CLOEXEC);
  readonly #events = structure(BATCH * abi.SIZEOF_epoll_event);

  /** Waits for other events of a descriptor than before; 0 for none at all, not even the end of the connection. */
  change(id: number, fd: number, before: number, events: number): void {
    if (before === events) return;
    const { bytes, view } = structure(abi.SIZEOF_epoll_event);
    view.setUint32(abi.OFFSETOF_epoll_event_events, events, true);
    view.setUint32(abi.OFFSETOF_epoll_event_data, id, true);
    const change = before === 0 ? abi.EPOLL_CTL_ADD : events === 0 ? abi.EPOLL_CTL_DEL : abi.EPOLL_CTL_MOD;
    call('epoll_ctl', `descriptor ${fd}`, abi.SYS_epoll_ctl, this.#fd, change, fd, bytes);
  }

  close(): void {
    close(this.#fd);
  }

  /** Waits for events. @param timeoutMs at most this long; -1 for ever */
  wait(timeoutMs: number): { id: number; events: number }[] {
    const { bytes, view } = this.#events;
    const count = call('epoll_wait', '', abi.SYS_epoll_wait, this.#fd, bytes, BATCH, timeoutMs);
    return Array.from({ length: count }, (_, index) => {
      const offset = index * abi.SIZEOF_epoll_event;
      return {
        id: view.getUint32(offset + abi.OFFSETOF_epoll_event_data, true),
        events: view.getUint32(offset + abi.OFFSETOF_epoll_event_events, true),
      };
    });
  }
}
