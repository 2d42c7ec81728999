// `--vsock`: a virtio socket device; the host's side is a Unix socket.
import { VsockDevice } from '../../devices/virtio/vsock/device.ts';
import { VsockUnixHost } from '../../host/vsock-unix.ts';
import { checkInteger, VmConfigError } from '../config-error.ts';
import { readOptions } from '../options.ts';
import { type DeviceKind, timers } from './kind.ts';

export interface VsockConfig {
  /** Address of the guest: 3 to 2^32 - 2. */
  readonly guestCid: number;
  /** Unix socket of the host side; guest-initiated connections to port P go to `<path>_<P>`. */
  readonly path: string;
}

/** Any context identifier that is not reserved (virtio 1.3, 5.10.4: 0, 1, 2 and 2^32 - 1 are). */
const MINIMUM_GUEST_CID = 3;
const MAXIMUM_GUEST_CID = 0xffff_fffe;

const FORM = {
  subject: 'vsock',
  fields: { cid: 'integer', path: 'text' },
  first: (item: string) => {
    const at = item.indexOf('=');
    return at < 0 ? { cid: item } : { cid: item.slice(0, at), path: item.slice(at + 1) };
  },
} as const;

export const vsock: DeviceKind<VsockConfig> = {
  read(source) {
    const { cid, path } = readOptions(source, FORM);
    if (cid === undefined || path === undefined) throw new VmConfigError('vsock', JSON.stringify(source), 'CID=PATH');
    return { guestCid: cid, path };
  },
  check({ guestCid }) {
    checkInteger('vsock cid', guestCid, MINIMUM_GUEST_CID, MAXIMUM_GUEST_CID);
  },
  async open({ guestCid, path }, { resources }) {
    const host = resources.use(new VsockUnixHost(path));
    const device = new VsockDevice({ guestCid, host, timers });
    await host.listen(device);
    return device;
  },
};
