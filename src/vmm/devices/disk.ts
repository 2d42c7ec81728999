// `--disk`: a virtio block device on an image or a block device of the host, or on a program that serves one.

import { basename, resolve } from 'node:path';
import { BlockDevice } from '../../devices/virtio/block/device.ts';
import { CACHE_MODES, type CacheMode, RawFile } from '../../host/raw-file.ts';
import { IMAGE_FORMATS, type ImageFormat } from '../../host/storage-daemon.ts';
import { messageOf } from '../../lib/errors.ts';
import { present } from '../../lib/present.ts';
import { VmConfigError } from '../config-error.ts';
import { readOptions } from '../options.ts';
import type { DeviceKind } from './kind.ts';
import { checkRateLimit, makeRateLimiter, type RateLimitConfig, readRateLimit } from './rate-limit.ts';
import { openDiskSocket, openFormattedDisk } from './vhost-user-disk.ts';

export interface DiskConfig {
  /** An image or a block device; with `vhostUser` the socket of the program that serves one. */
  readonly path: string;
  /** What the image is; formats other than raw are served by qemu-storage-daemon. @default raw */
  readonly format?: 'raw' | ImageFormat;
  /** Whether somebody else runs the program that serves this disk, over vhost-user. @default false */
  readonly vhostUser?: boolean;
  /** @default false */
  readonly readOnly?: boolean;
  /**
   * What the guest's GET_ID answers: at most 20 characters of ASCII; raw images only.
   * @default the file's name, cut, with _ for what is no ASCII
   */
  readonly id?: string;
  /** What the host does with writes before the guest asks for a flush; raw images only. @default writeback */
  readonly cache?: CacheMode;
  /** What the guest may read and write; raw images only. @default no limit */
  readonly limit?: RateLimitConfig;
}

/** virtio 1.3, 5.2.6: VIRTIO_BLK_T_GET_ID answers 20 bytes of ASCII. */
const MAXIMUM_ID_LENGTH = 20;
const NOT_ASCII = /[^\x20-\x7e]/u;

const FORM = {
  subject: 'disk',
  fields: {
    path: 'text',
    'vhost-user': 'text',
    format: ['raw', ...IMAGE_FORMATS],
    ro: 'flag',
    id: 'text',
    cache: CACHE_MODES,
    rate: 'size',
    burst: 'size',
    ops: 'integer',
    'ops-burst': 'integer',
  },
  first: (item: string) => ({ path: item }),
} as const;

export const disk: DeviceKind<DiskConfig> = {
  read(source) {
    const options = readOptions(source, FORM);
    const { path: image, 'vhost-user': socket, format, ro, id, cache, rate, burst, ops } = options;
    const path = image ?? socket;
    if (path === undefined || (image !== undefined && socket !== undefined)) {
      const form = 'PATH[,format=FORMAT][,ro][,id=ID][,cache=MODE][,rate=BYTES][,ops=N] or vhost-user=SOCKET[,ro]';
      throw new VmConfigError('disk', JSON.stringify(source), form);
    }
    const limit = readRateLimit({ rate, burst, ops, opsBurst: options['ops-burst'] });
    return {
      path,
      ...(socket === undefined ? {} : { vhostUser: true }),
      ...present({ format, readOnly: ro, id, cache, limit }),
    };
  },
  check({ format = 'raw', vhostUser = false, id, cache, limit }) {
    checkRateLimit('disk', limit);
    if (id !== undefined && (id.length > MAXIMUM_ID_LENGTH || NOT_ASCII.test(id))) {
      throw new VmConfigError('disk id', JSON.stringify(id), `at most ${MAXIMUM_ID_LENGTH} bytes of printable ASCII`);
    }
    if (vhostUser && format !== 'raw') throw new VmConfigError('disk format', format, 'none with vhost-user');
    if (id !== undefined && (vhostUser || format !== 'raw')) {
      throw new VmConfigError('disk id', JSON.stringify(id), 'none but with a raw image: other disks have no name');
    }
    if (cache !== undefined && (vhostUser || format !== 'raw')) {
      throw new VmConfigError('disk cache', cache, 'none but with a raw image: other programs choose their own');
    }
    if (limit !== undefined && (vhostUser || format !== 'raw')) {
      throw new VmConfigError('disk rate limit', 'given', 'none but with a raw image: other programs do the transfers');
    }
  },
  needsSharedMemory: ({ format = 'raw', vhostUser = false }) => vhostUser || format !== 'raw',
  withAbsolutePaths: (config) => ({ ...config, path: resolve(config.path) }),
  async open(config, context) {
    const { path, format = 'raw', vhostUser = false, readOnly = false, id, cache = 'writeback' } = config;
    if (vhostUser) return openDiskSocket(path, readOnly, context);
    if (format !== 'raw') return openFormattedDisk(path, format, readOnly, context);
    const backend = context.resources.use(await RawFile.open(path, { readOnly, cache }));
    const limiter = makeRateLimiter(config.limit);
    return new BlockDevice({
      name: path,
      id: id ?? idOf(path),
      backend,
      ...(limiter === undefined ? {} : { limiter }),
      onError: (error) => context.log(`${path}: ${messageOf(error)}`),
    });
  },
};

function idOf(path: string): string {
  return basename(path).replaceAll(new RegExp(NOT_ASCII, 'gu'), '_').slice(0, MAXIMUM_ID_LENGTH);
}
