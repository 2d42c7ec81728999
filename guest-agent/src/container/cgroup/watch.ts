// Waiting for files of cgroups to change (cgroup-v2.rst: changes of *.events files make poll(2) report POLLPRI).
// Not by inotify: its watches are counted per user, and a container's root could use them all up.
import { decodeUtf8 } from 'tskata-sys';
import type { EventLoop } from '../../event-loop.ts';
import * as abi from '../../linux/abi.gen.ts';
import { tryCall } from '../../linux/call.ts';
import { close, open } from '../../linux/file.ts';

/** More than any *.events file has. */
const TEXT_BYTES = 4096;

/** Follows one file. */
export class ControlWatch {
  readonly #loop: EventLoop;
  readonly #fd: number;
  readonly #id: number;
  #open = true;

  /** @param onChange gets the new text; undefined once, when the cgroup is gone. @throws SystemError when the file is not there */
  constructor(loop: EventLoop, path: string, onChange: (text: string | undefined) => void) {
    this.#loop = loop;
    this.#fd = open(path, abi.O_RDONLY);
    this.#id = loop.register(() => {
      const text = this.read();
      // A file whose cgroup is gone reports a change for ever.
      if (text === undefined) this.close();
      onChange(text);
    });
    loop.setInterest(this.#id, this.#fd, 0, abi.EPOLLPRI);
  }

  /** The file's text; what changes from here on is reported. @returns undefined when the cgroup is gone */
  read(): string | undefined {
    if (!this.#open) return undefined;
    const bytes = new Uint8Array(TEXT_BYTES);
    const length = tryCall(abi.SYS_pread64, this.#fd, bytes, bytes.length, 0);
    return length < 0 ? undefined : decodeUtf8(bytes.subarray(0, length));
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#loop.setInterest(this.#id, this.#fd, abi.EPOLLPRI, 0);
    this.#loop.unregister(this.#id);
    close(this.#fd);
  }
}

/**
 * Waits until the text of a file is as wanted.
 * @param timeoutMs at most this long
 * @returns whether it is; not when the cgroup is gone
 * @throws SystemError when the file is not there
 */
export async function waitForControl(
  loop: EventLoop,
  path: string,
  isWanted: (text: string) => boolean,
  timeoutMs: number,
): Promise<boolean> {
  let settle: (wanted: boolean) => void = () => {};
  const settled = new Promise<boolean>((resolve) => {
    settle = resolve;
  });
  const look = (text: string | undefined): void => {
    if (text === undefined) settle(false);
    else if (isWanted(text)) settle(true);
  };
  const watch = new ControlWatch(loop, path, look);
  const cancel = loop.after(timeoutMs, () => settle(false));
  try {
    // Only now: what has happened before the watch is not reported.
    look(watch.read());
    return await settled;
  } finally {
    cancel();
    watch.close();
  }
}
