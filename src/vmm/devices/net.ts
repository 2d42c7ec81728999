// `--net`: a virtio network device on a tap of the host, served here or by the kernel, or one whose cable is not plugged in.
import { randomFillSync } from 'node:crypto';
import type { NetBackend } from '../../devices/virtio/net/backend.ts';
import {
  isStationAddress,
  localMac,
  MAC_SIZE,
  MAXIMUM_MTU,
  MINIMUM_MTU,
  parseMac,
} from '../../devices/virtio/net/config-space.ts';
import { NetDevice } from '../../devices/virtio/net/device.ts';
import { Tap } from '../../host/tap.ts';
import { VhostNet } from '../../host/vhost-net.ts';
import { messageOf } from '../../lib/errors.ts';
import { checkInteger, VmConfigError } from '../config-error.ts';
import { readOptions } from '../options.ts';
import type { BackendContext, DeviceKind } from './kind.ts';
import { checkRateLimit, makeRateLimiter, type RateLimitConfig, readRateLimit } from './rate-limit.ts';

/** What is at the other end of the cable. */
export type NetEnd =
  /** A tap by its name; one that is not there is created, and goes with the VM. */
  | { readonly kind: 'tap'; readonly name: string }
  /** A tap that somebody else opened, as a descriptor that this process inherited. */
  | { readonly kind: 'fd'; readonly fd: number }
  /** Nobody: the link is down. */
  | { readonly kind: 'none' };

export interface NetConfig {
  readonly end: NetEnd;
  /** Whether the kernel moves the frames by itself (vhost-net); taps only, and without limits. @default false */
  readonly vhost?: boolean;
  /** The guest's address: "52:54:00:12:34:56". @default one of its own, by chance */
  readonly mac?: string;
  /** Bytes, 68 to 65535: the guest is told, and a tap that is created gets it. @default not told: 1500 */
  readonly mtu?: number;
  /** What the guest may receive. */
  readonly receiveLimit?: RateLimitConfig;
  /** What the guest may send. */
  readonly transmitLimit?: RateLimitConfig;
}

const FORM = {
  subject: 'net',
  fields: {
    tap: 'text',
    fd: 'integer',
    none: 'flag',
    vhost: 'flag',
    mac: 'text',
    mtu: 'integer',
    'rx-rate': 'size',
    'rx-burst': 'size',
    'rx-ops': 'integer',
    'rx-ops-burst': 'integer',
    'tx-rate': 'size',
    'tx-burst': 'size',
    'tx-ops': 'integer',
    'tx-ops-burst': 'integer',
  },
} as const;
const ALLOWED = 'tap=NAME, fd=N or none, with ,vhost=on ,mac=MAC ,mtu=BYTES ,rx-rate=BYTES and the like';

export const net: DeviceKind<NetConfig, NetDevice> = {
  read(source) {
    const options = readOptions(source, FORM);
    const { tap, fd, none, vhost, mac, mtu } = options;
    const ends: NetEnd[] = [
      ...(tap === undefined ? [] : [{ kind: 'tap', name: tap } as const]),
      ...(fd === undefined ? [] : [{ kind: 'fd', fd } as const]),
      ...(none === true ? [{ kind: 'none' } as const] : []),
    ];
    const [end] = ends;
    if (end === undefined || ends.length > 1) throw new VmConfigError('net', JSON.stringify(source), ALLOWED);
    const receiveLimit = readRateLimit({
      rate: options['rx-rate'],
      burst: options['rx-burst'],
      ops: options['rx-ops'],
      opsBurst: options['rx-ops-burst'],
    });
    const transmitLimit = readRateLimit({
      rate: options['tx-rate'],
      burst: options['tx-burst'],
      ops: options['tx-ops'],
      opsBurst: options['tx-ops-burst'],
    });
    return {
      end,
      ...(vhost === undefined ? {} : { vhost }),
      ...(mac === undefined ? {} : { mac }),
      ...(mtu === undefined ? {} : { mtu }),
      ...(receiveLimit === undefined ? {} : { receiveLimit }),
      ...(transmitLimit === undefined ? {} : { transmitLimit }),
    };
  },
  check({ end, vhost = false, mac, mtu, receiveLimit, transmitLimit }) {
    if (vhost && end.kind === 'none') throw new VmConfigError('net vhost', 'on', 'off: vhost-net needs a tap');
    if (vhost && (receiveLimit ?? transmitLimit) !== undefined) {
      throw new VmConfigError('net vhost', 'on', 'off with rate limits, which are kept here and not by the kernel');
    }
    if (mac !== undefined && !isStationAddress(parseMac(mac) ?? new Uint8Array())) {
      throw new VmConfigError('net mac', JSON.stringify(mac), 'six bytes as 52:54:00:12:34:56, not those of a group');
    }
    if (mtu !== undefined) checkInteger('net mtu', mtu, MINIMUM_MTU, MAXIMUM_MTU);
    checkRateLimit('net rx', receiveLimit);
    checkRateLimit('net tx', transmitLimit);
  },
  async open({ end, vhost = false, mac, mtu, receiveLimit, transmitLimit }, context) {
    const tap = openTap(end, mtu, context);
    const backend = tap !== undefined && vhost ? handOver(tap, context) : tap;
    const receiveLimiter = makeRateLimiter(receiveLimit);
    const transmitLimiter = makeRateLimiter(transmitLimit);
    const name = end.kind === 'tap' ? end.name : end.kind;
    return new NetDevice({
      name,
      mac: (mac === undefined ? undefined : parseMac(mac)) ?? localMac(randomFillSync(new Uint8Array(MAC_SIZE))),
      ...(mtu === undefined ? {} : { mtu }),
      ...(backend === undefined ? {} : { backend }),
      ...(receiveLimiter === undefined ? {} : { receiveLimiter }),
      ...(transmitLimiter === undefined ? {} : { transmitLimiter }),
      onError: (error) => context.log(`the network ${name} is gone: ${messageOf(error)}`),
    });
  },
};

/** @throws TapError */
function openTap(end: NetEnd, mtu: number | undefined, { resources }: BackendContext): Tap | undefined {
  switch (end.kind) {
    case 'tap':
      return resources.use(Tap.open(end.name, mtu === undefined ? {} : { mtu }));
    case 'fd':
      return resources.use(Tap.adopt(end.fd));
    case 'none':
      return undefined;
  }
}

/** @throws VhostError, SystemError */
function handOver(tap: Tap, { mappedMemory, resources }: BackendContext): NetBackend {
  return resources.use(new VhostNet({ tap, memory: mappedMemory }));
}
