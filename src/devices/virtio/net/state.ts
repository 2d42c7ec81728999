// What a network device keeps of itself in a snapshot.
import type { DeviceState, JsonValue } from '../device.ts';
import { type RateLimiterState, readLimiterState } from '../rate-limiter.ts';
import { formatMac, parseMac } from './config-space.ts';

export interface NetState {
  /** As the driver set it last. */
  readonly mac: Uint8Array;
  /** As the device was made: that of the next driver. */
  readonly ownMac: Uint8Array;
  readonly isUp: boolean;
  /** Feature bits of what the driver takes unfinished. */
  readonly guestOffloads: bigint;
  readonly receiveLimiter: RateLimiterState | undefined;
  readonly transmitLimiter: RateLimiterState | undefined;
}

export function encodeState(state: NetState): DeviceState {
  const limiter = (tokens: RateLimiterState | undefined): JsonValue => ({ ...tokens });
  return {
    mac: formatMac(state.mac),
    ownMac: formatMac(state.ownMac),
    isUp: state.isUp,
    guestOffloads: String(state.guestOffloads),
    receiveLimiter: limiter(state.receiveLimiter),
    transmitLimiter: limiter(state.transmitLimiter),
  };
}

/** @throws RangeError when this was not saved by a network device */
export function decodeState(saved: DeviceState): NetState {
  const mac = parseMac(String(saved['mac']));
  const ownMac = parseMac(String(saved['ownMac']));
  const guestOffloads = String(saved['guestOffloads']);
  const hasMacs = mac !== undefined && ownMac !== undefined;
  if (!hasMacs || typeof saved['isUp'] !== 'boolean' || !/^\d{1,20}$/.test(guestOffloads)) {
    throw new RangeError('the saved state is not that of a network device');
  }
  return {
    mac,
    ownMac,
    isUp: saved['isUp'],
    guestOffloads: BigInt(guestOffloads),
    receiveLimiter: readLimiterState(saved['receiveLimiter']),
    transmitLimiter: readLimiterState(saved['transmitLimiter']),
  };
}
