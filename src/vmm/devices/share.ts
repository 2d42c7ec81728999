// `--share`: a virtio file system on a folder of the host.

import { resolve } from 'node:path';
import { FS_QUEUE, FsDevice } from '../../devices/virtio/fs/device.ts';
import { CACHE_POLICIES, type CachePolicy } from '../../host/cache-policy.ts';
import { VhostUserFrontEnd } from '../../host/vhost-user.ts';
import { startVirtiofsd } from '../../host/virtiofsd.ts';
import { present } from '../../lib/present.ts';
import { VmConfigError } from '../config-error.ts';
import { readOptions } from '../options.ts';
import type { DeviceKind } from './kind.ts';

export interface ShareConfig {
  /** Name by which the guest mounts it (`mount -t virtiofs TAG`): 1 to 36 bytes of UTF-8. */
  readonly tag: string;
  /** Folder of the host that is served. */
  readonly directory: string;
  /** Whether the guest can change nothing in it. @default false */
  readonly readOnly?: boolean;
  /** What the guest may keep of what it has read. @default auto */
  readonly cache?: CachePolicy;
}

/** virtio 1.3, 5.11.4: `tag` is 36 bytes. */
const MAXIMUM_TAG_BYTES = 36;

const FORM = {
  subject: 'share',
  fields: { tag: 'text', directory: 'text', ro: 'flag', cache: CACHE_POLICIES },
  first: (item: string) => {
    const at = item.indexOf('=');
    return at < 0 ? { directory: item } : { tag: item.slice(0, at), directory: item.slice(at + 1) };
  },
} as const;

export const share: DeviceKind<ShareConfig> = {
  read(source) {
    const { tag, directory, ro, cache } = readOptions(source, FORM);
    if (tag === undefined || directory === undefined) {
      throw new VmConfigError('share', JSON.stringify(source), 'TAG=DIRECTORY[,ro][,cache=auto|always|never]');
    }
    return {
      tag,
      directory,
      ...present({ readOnly: ro, cache }),
    };
  },
  check({ tag }) {
    const length = Buffer.byteLength(tag);
    if (length < 1 || length > MAXIMUM_TAG_BYTES || tag.includes('\0')) {
      throw new VmConfigError('share tag', JSON.stringify(tag), `1 to ${MAXIMUM_TAG_BYTES} bytes without NUL`);
    }
  },
  needsSharedMemory: () => true,
  withAbsolutePaths: (config) => ({ ...config, directory: resolve(config.directory) }),
  async open({ tag, ...served }, { memory, onEnd, resources, virtiofsd }) {
    const program = resources.use(startVirtiofsd({ ...virtiofsd, ...served, onEnd }));
    const backend = await program.open((connection) =>
      VhostUserFrontEnd.open({ connection, name: program.name, memory, queueCount: FS_QUEUE.request + 1 }),
    );
    return new FsDevice({ tag, backend: resources.use(backend) });
  },
};
