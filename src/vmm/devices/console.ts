// `--console`: a virtio console, the guest's hvc0: an exit for each piece of output instead of one for each byte.
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { ConsoleDevice } from '../../devices/virtio/console/device.ts';
import { messageOf } from '../../lib/errors.ts';
import { VmConfigError } from '../config-error.ts';
import { optionalFirst, readOptions } from '../options.ts';
import { type BackendContext, type DeviceKind, timers } from './kind.ts';

export interface ConsoleConfig {
  /** A file to which the output is appended, beside whoever is attached to the console. @default none */
  readonly path?: string;
}

const FORM = {
  subject: 'console',
  fields: { file: 'text' },
  first: optionalFirst('file'),
} as const;

export const virtioConsole: DeviceKind<ConsoleConfig, ConsoleDevice> = {
  read(source) {
    const { file } = readOptions(source, FORM);
    return file === undefined ? {} : { path: file };
  },
  check() {
    // Whether the file can be written is seen when it is opened.
  },
  withAbsolutePaths: ({ path }) => (path === undefined ? {} : { path: resolve(path) }),
  async open({ path }, context) {
    const { consoleOutput } = context;
    if (path === undefined) return new ConsoleDevice({ timers, output: consoleOutput });
    const append = await openLog(path, context);
    return new ConsoleDevice({
      timers,
      output: (bytes) => {
        const busy = [consoleOutput(bytes), append(bytes)].filter((one) => one !== undefined);
        return busy.length === 0 ? undefined : Promise.all(busy).then(() => undefined);
      },
    });
  },
};

/**
 * Opens a file for output: what is written to it is there when the VM's resources are released.
 * @returns writes; a promise when the file falls behind. Once it cannot be written any more the output is let go
 * @throws VmConfigError when it cannot be opened (rejects)
 */
async function openLog(
  path: string,
  { resources, log }: BackendContext,
): Promise<(bytes: Uint8Array) => Promise<void> | undefined> {
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 });
  try {
    await once(stream, 'open');
  } catch (error) {
    throw new VmConfigError('console file', path, `a file that can be written (${messageOf(error)})`);
  }
  stream.on('error', (error) => log(`${path} gets no more of the console: ${messageOf(error)}`));
  resources.defer(async () => {
    stream.end();
    await finished(stream).catch(() => undefined);
  });
  return (bytes) => {
    if (!stream.writable || stream.write(bytes)) return undefined;
    const { promise, resolve: goOn } = Promise.withResolvers<void>();
    stream.once('drain', goOn);
    stream.once('close', goOn);
    return promise.finally(() => {
      stream.off('drain', goOn);
      stream.off('close', goOn);
    });
  };
}
