// `--vsock`: a virtio socket device; the host's side is a Unix socket, or its own AF_VSOCK sockets.

import { resolve } from 'node:path';
import { VsockDevice } from '../../devices/virtio/vsock/device.ts';
import { VhostVsockDevice } from '../../devices/virtio/vsock/vhost-device.ts';
import { VhostVsock } from '../../host/vhost-vsock.ts';
import { VsockUnixHost } from '../../host/vsock-unix.ts';
import { present } from '../../lib/present.ts';
import { checkInteger, VmConfigError } from '../config-error.ts';
import { readOptions } from '../options.ts';
import { type DeviceKind, timers } from './kind.ts';

export interface VsockConfig {
  /** Address of the guest: 3 to 2^32 - 2. */
  readonly guestCid: number;
  /** Unix socket of the host side; guest-initiated connections to port P go to `<path>_<P>`. Absent with `vhost`. */
  readonly path?: string;
  /** Whether the kernel connects the guest with the AF_VSOCK sockets of the host instead. @default false */
  readonly vhost?: boolean;
}

/** Any context identifier that is not reserved (virtio 1.3, 5.10.4: 0, 1, 2 and 2^32 - 1 are). */
const MINIMUM_GUEST_CID = 3;
const MAXIMUM_GUEST_CID = 0xffff_fffe;

const ALLOWED = 'CID=SOCKET or CID,vhost=on';

const FORM = {
  subject: 'vsock',
  fields: { cid: 'integer', path: 'text', vhost: 'flag' },
  first: (item: string) => {
    const at = item.indexOf('=');
    return at < 0 ? { cid: item } : { cid: item.slice(0, at), path: item.slice(at + 1) };
  },
} as const;

export const vsock: DeviceKind<VsockConfig> = {
  read(source) {
    const { cid, path, vhost } = readOptions(source, FORM);
    if (cid === undefined) throw new VmConfigError('vsock', JSON.stringify(source), ALLOWED);
    return {
      guestCid: cid,
      ...present({ path, vhost }),
    };
  },
  check({ guestCid, path, vhost = false }) {
    checkInteger('vsock cid', guestCid, MINIMUM_GUEST_CID, MAXIMUM_GUEST_CID);
    if ((path === undefined) !== vhost) {
      throw new VmConfigError('vsock', vhost ? 'both a socket and vhost' : 'without a socket', ALLOWED);
    }
  },
  withAbsolutePaths: (config) => (config.path === undefined ? config : { ...config, path: resolve(config.path) }),
  async open({ guestCid, path }, { mappedMemory, resources }) {
    if (path === undefined) {
      const backend = resources.use(new VhostVsock({ guestCid, memory: mappedMemory }));
      return new VhostVsockDevice({ guestCid, backend });
    }
    const host = resources.use(new VsockUnixHost(path));
    const device = new VsockDevice({ guestCid, host, timers });
    await host.listen(device);
    return device;
  },
};
