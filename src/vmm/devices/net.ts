// `--net`: a virtio network device on a tap of the host, served here or by the kernel, on passt, or one whose cable is not
// plugged in.

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
import { type PasstPorts, parsePorts } from '../../host/passt.ts';
import { fillRandom } from '../../host/random.ts';
import { Tap } from '../../host/tap.ts';
import { VhostNet } from '../../host/vhost-net.ts';
import { messageOf } from '../../lib/errors.ts';
import { present } from '../../lib/present.ts';
import { checkInteger, VmConfigError } from '../config-error.ts';
import { readOptions } from '../options.ts';
import type { BackendContext, DeviceKind } from './kind.ts';
import { openPasst } from './passt-net.ts';
import { checkRateLimit, makeRateLimiter, type RateLimitConfig, readRateLimit } from './rate-limit.ts';

/** What is at the other end of the cable. */
export type NetEnd =
  /** A tap by its name; one that is not there is created, and goes with the VM. */
  | { readonly kind: 'tap'; readonly name: string }
  /** A tap that somebody else opened, as a descriptor that this process inherited. */
  | { readonly kind: 'fd'; readonly fd: number }
  /** passt, a program that needs no privileges, with ports of the host that lead to the guest. */
  | ({ readonly kind: 'passt' } & PasstPorts)
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
    passt: 'flag',
    tcp: 'text',
    udp: 'text',
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
const ALLOWED =
  'tap=NAME, fd=N, passt or none, with ,vhost=on ,tcp=PORTS ,udp=PORTS ,mac=MAC ,mtu=BYTES ,rx-rate=BYTES and the like';

export const net: DeviceKind<NetConfig, NetDevice> = {
  read(source) {
    const options = readOptions(source, FORM);
    const { tap, fd, passt, tcp, udp, none, vhost, mac, mtu } = options;
    const ends: NetEnd[] = [
      ...(tap === undefined ? [] : [{ kind: 'tap', name: tap } as const]),
      ...(fd === undefined ? [] : [{ kind: 'fd', fd } as const]),
      ...(passt === true ? [{ kind: 'passt', ...readPorts(tcp, udp) } as const] : []),
      ...(none === true ? [{ kind: 'none' } as const] : []),
    ];
    const [end] = ends;
    const isMixed = passt !== true && (tcp ?? udp) !== undefined;
    if (end === undefined || ends.length > 1 || isMixed)
      throw new VmConfigError('net', JSON.stringify(source), ALLOWED);
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
      ...present({ vhost, mac, mtu, receiveLimit, transmitLimit }),
    };
  },
  check({ end, vhost = false, mac, mtu, receiveLimit, transmitLimit }) {
    if (vhost && end.kind !== 'tap' && end.kind !== 'fd') {
      throw new VmConfigError('net vhost', 'on', 'off: vhost-net needs a tap');
    }
    if (end.kind === 'passt') {
      checkPorts('net tcp', end.tcp);
      checkPorts('net udp', end.udp);
    }
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
  needsSharedMemory: ({ end }) => end.kind === 'passt',
  async open({ end, vhost = false, mac, mtu, receiveLimit, transmitLimit }, context) {
    const isCounted = (receiveLimit ?? transmitLimit) !== undefined;
    const backend = await openEnd(end, { vhost, isCounted, mtu }, context);
    const receiveLimiter = makeRateLimiter(receiveLimit);
    const transmitLimiter = makeRateLimiter(transmitLimit);
    const name = end.kind === 'tap' ? end.name : end.kind;
    return new NetDevice({
      name,
      mac: (mac === undefined ? undefined : parseMac(mac)) ?? localMac(fillRandom(new Uint8Array(MAC_SIZE))),
      ...present({ mtu, backend, receiveLimiter, transmitLimiter }),
      onError: (error) => context.log(`the network ${name} is gone: ${messageOf(error)}`),
    });
  },
};

interface EndOptions {
  readonly vhost: boolean;
  /** Whether each frame has to go through this process. */
  readonly isCounted: boolean;
  readonly mtu: number | undefined;
}

/** @throws TapError, VhostError, BackEndError, VhostUserError, SystemError (rejects) */
async function openEnd(
  end: NetEnd,
  { vhost, isCounted, mtu }: EndOptions,
  context: BackendContext,
): Promise<NetBackend | undefined> {
  const size = mtu === undefined ? {} : { mtu };
  switch (end.kind) {
    case 'tap': {
      const tap = context.resources.use(Tap.open(end.name, size));
      return vhost ? handOver(tap, context) : tap;
    }
    case 'fd': {
      const tap = context.resources.use(Tap.adopt(end.fd));
      return vhost ? handOver(tap, context) : tap;
    }
    case 'passt': {
      const { kind: _, ...ports } = end;
      return openPasst({ ...ports, ...size, isCounted }, context);
    }
    case 'none':
      return undefined;
  }
}

function readPorts(tcp: string | undefined, udp: string | undefined): PasstPorts {
  return { ...(tcp === undefined ? {} : { tcp }), ...(udp === undefined ? {} : { udp }) };
}

/** @throws VmConfigError */
function checkPorts(key: string, ports: string | undefined): void {
  if (ports === undefined || parsePorts(ports) !== undefined) return;
  throw new VmConfigError(
    key,
    JSON.stringify(ports),
    'ports such as 8080:80, 127.0.0.1/2222:22 or 5000-5010, each behind ",,"',
  );
}

/** @throws VhostError, SystemError */
function handOver(tap: Tap, { mappedMemory, resources }: BackendContext): NetBackend {
  return resources.use(new VhostNet({ tap, memory: mappedMemory }));
}
