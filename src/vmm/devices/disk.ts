// `--disk`: a virtio block device on an image or a block device of the host.
import { basename } from 'node:path';
import { BlockDevice } from '../../devices/virtio/block/device.ts';
import { RawFile } from '../../host/raw-file.ts';
import { messageOf } from '../../lib/errors.ts';
import { VmConfigError } from '../config-error.ts';
import { readOptions } from '../options.ts';
import type { DeviceKind } from './kind.ts';

export interface DiskConfig {
  /** A raw image or a block device. */
  readonly path: string;
  /** @default false */
  readonly readOnly?: boolean;
  /** What the guest's GET_ID answers: at most 20 bytes. @default the file's name, cut */
  readonly id?: string;
}

/** virtio 1.3, 5.2.6: VIRTIO_BLK_T_GET_ID answers 20 bytes. */
const MAXIMUM_ID_BYTES = 20;

const FORM = {
  subject: 'disk',
  fields: { path: 'text', ro: 'flag', id: 'text' },
  first: (item: string) => ({ path: item }),
} as const;

export const disk: DeviceKind<DiskConfig> = {
  read(source) {
    const { path, ro, id } = readOptions(source, FORM);
    if (path === undefined) throw new VmConfigError('disk', JSON.stringify(source), 'PATH[,ro][,id=ID]');
    return { path, ...(ro === undefined ? {} : { readOnly: ro }), ...(id === undefined ? {} : { id }) };
  },
  check({ id = '' }) {
    if (Buffer.byteLength(id) > MAXIMUM_ID_BYTES) {
      throw new VmConfigError('disk id', JSON.stringify(id), `at most ${MAXIMUM_ID_BYTES} bytes`);
    }
  },
  async open({ path, readOnly = false, id = basename(path).slice(0, MAXIMUM_ID_BYTES) }, { resources, log }) {
    const backend = resources.use(await RawFile.open(path, { readOnly }));
    return new BlockDevice({ name: path, id, backend, onError: (error) => log(`${path}: ${messageOf(error)}`) });
  },
};
