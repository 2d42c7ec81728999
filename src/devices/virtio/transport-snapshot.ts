// The state of a device and its transport as plain JSON. It comes back from a file that anybody may have written, so reading
// judges every field; what only the device can judge (features, sizes, addresses) is left to the transport.
import { PAGE_SIZE } from '../../lib/units.ts';
import { SavedFields, SavedStateError } from '../saved-state.ts';
import type { DeviceState } from './device.ts';
import type { QueuePosition } from './queue.ts';

/** The registers by which a driver says where the parts of a queue are, 32 bits each. */
export const QUEUE_ADDRESS_HALVES = [
  'descriptorLow',
  'descriptorHigh',
  'availableLow',
  'availableHigh',
  'usedLow',
  'usedHigh',
] as const;
export type QueueAddressHalf = (typeof QUEUE_ADDRESS_HALVES)[number];

/** What a driver wrote about a queue, and where it stands. */
export interface QueueSnapshot extends Readonly<Record<QueueAddressHalf, number>> {
  readonly size: number;
  /** null while the queue is not ready. */
  readonly position: QueuePosition | null;
}

export interface TransportSnapshot {
  /** VIRTIO_ID_* of the device. */
  readonly deviceId: number;
  /** The device status field (virtio 1.3, 2.1). */
  readonly status: number;
  /** Why the device waits for a reset; null when it does not. */
  readonly failure: string | null;
  readonly deviceFeaturesSelect: number;
  readonly driverFeaturesSelect: number;
  /** The driver's feature bits as `0x` and hexadecimal digits: JSON's numbers have too few bits. */
  readonly driverFeatures: string;
  readonly queueSelect: number;
  readonly interruptStatus: number;
  readonly configurationGeneration: number;
  /** The bytes of the configuration space, as the driver saw it. */
  readonly configurationSpace: readonly number[];
  readonly queues: readonly QueueSnapshot[];
  /** What the active device itself said; null when it has nothing to say, or none is active. */
  readonly device: DeviceState | null;
}

const U8_MAX = 0xff;
const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;
const FEATURES = /^0x[0-9a-f]{1,16}$/;

/** Takes what JSON.parse gave for a snapshot. @throws SavedStateError naming the field that makes no sense */
export function readTransportSnapshot(value: unknown): TransportSnapshot {
  const fields = new SavedFields('transport', value);
  const u32 = (name: string) => fields.integer(name, U32_MAX);
  return {
    deviceId: u32('deviceId'),
    status: fields.integer('status', U8_MAX),
    failure: fields.optional('failure', (all, name) => all.string(name)) ?? null,
    deviceFeaturesSelect: u32('deviceFeaturesSelect'),
    driverFeaturesSelect: u32('driverFeaturesSelect'),
    driverFeatures: readFeatures(fields.string('driverFeatures')),
    queueSelect: u32('queueSelect'),
    interruptStatus: u32('interruptStatus'),
    configurationGeneration: u32('configurationGeneration'),
    configurationSpace: fields.bytes('configurationSpace', PAGE_SIZE),
    queues: fields.list('queues', readQueue),
    device: fields.optional('device', (all, name) => all.object(name).all as DeviceState) ?? null,
  };
}

function readQueue(fields: SavedFields): QueueSnapshot {
  const u32 = (name: keyof QueueSnapshot) => fields.integer(name, U32_MAX);
  return {
    size: u32('size'),
    descriptorLow: u32('descriptorLow'),
    descriptorHigh: u32('descriptorHigh'),
    availableLow: u32('availableLow'),
    availableHigh: u32('availableHigh'),
    usedLow: u32('usedLow'),
    usedHigh: u32('usedHigh'),
    position: fields.optional('position', (all, name) => readPosition(all.object(name))) ?? null,
  };
}

function readPosition(fields: SavedFields): QueuePosition {
  return { nextAvailable: fields.integer('nextAvailable', U16_MAX), nextUsed: fields.integer('nextUsed', U16_MAX) };
}

function readFeatures(text: string): string {
  if (FEATURES.test(text)) return text;
  throw new SavedStateError('transport', 'driverFeatures', text, '0x and up to 16 hexadecimal digits');
}
