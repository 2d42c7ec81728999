// What a network device keeps of itself in a snapshot.
import type { DeviceState, JsonValue } from '../device.ts';
import type { RateLimiterState } from '../rate-limiter.ts';
import { formatMac, parseMac } from './config-space.ts';

export interface NetState {
  /** As the driver set it last. */
  readonly mac: Uint8Array;
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
    isUp: state.isUp,
    guestOffloads: String(state.guestOffloads),
    receiveLimiter: limiter(state.receiveLimiter),
    transmitLimiter: limiter(state.transmitLimiter),
  };
}

/** @throws RangeError when this was not saved by a network device */
export function decodeState(saved: DeviceState): NetState {
  const mac = parseMac(String(saved['mac']));
  const guestOffloads = String(saved['guestOffloads']);
  if (mac === undefined || typeof saved['isUp'] !== 'boolean' || !/^\d{1,20}$/.test(guestOffloads)) {
    throw new RangeError('the saved state is not that of a network device');
  }
  return {
    mac,
    isUp: saved['isUp'],
    guestOffloads: BigInt(guestOffloads),
    receiveLimiter: decodeLimiter(saved['receiveLimiter']),
    transmitLimiter: decodeLimiter(saved['transmitLimiter']),
  };
}

function decodeLimiter(saved: JsonValue | undefined): RateLimiterState {
  const table = typeof saved === 'object' && saved !== null && !Array.isArray(saved) ? saved : {};
  const bucket = (value: JsonValue | undefined): readonly [number, number] | undefined => {
    if (!Array.isArray(value) || value.length !== 2) return undefined;
    const [tokens, burst]: readonly JsonValue[] = value;
    return Number.isFinite(tokens) && Number.isFinite(burst) ? [Number(tokens), Number(burst)] : undefined;
  };
  const entries = Object.entries(table).flatMap(([name, value]) => {
    const pair = name === 'bytes' || name === 'operations' ? bucket(value) : undefined;
    return pair === undefined ? [] : [[name, pair] as const];
  });
  return Object.fromEntries(entries);
}
