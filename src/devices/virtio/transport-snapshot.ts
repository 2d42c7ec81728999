// The state of a device and its transport as plain JSON. It comes back from a file that anybody may have written, so reading
// judges every field; what only the device can judge (features, sizes, addresses) is left to the transport.
import { shownValue } from '../../lib/errors.ts';
import type { DeviceState } from './device.ts';
import type { QueuePosition } from './queue.ts';
import { TransportError } from './transport-error.ts';

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

/** Takes what JSON.parse gave for a snapshot. @throws TransportError SNAPSHOT naming the field that makes no sense */
export function readTransportSnapshot(value: unknown): TransportSnapshot {
  const fields = readObject(value, 'the snapshot');
  return {
    deviceId: readInteger(fields, 'deviceId', U32_MAX),
    status: readInteger(fields, 'status', U8_MAX),
    failure: fields['failure'] === null ? null : readString(fields, 'failure'),
    deviceFeaturesSelect: readInteger(fields, 'deviceFeaturesSelect', U32_MAX),
    driverFeaturesSelect: readInteger(fields, 'driverFeaturesSelect', U32_MAX),
    driverFeatures: readFeatures(fields),
    queueSelect: readInteger(fields, 'queueSelect', U32_MAX),
    interruptStatus: readInteger(fields, 'interruptStatus', U32_MAX),
    configurationGeneration: readInteger(fields, 'configurationGeneration', U32_MAX),
    configurationSpace: readList(fields, 'configurationSpace').map((byte) => checkInteger(byte, 'a byte', U8_MAX)),
    queues: readList(fields, 'queues').map(readQueue),
    device: fields['device'] === null ? null : (readObject(fields['device'], 'device') as DeviceState),
  };
}

function readQueue(value: unknown): QueueSnapshot {
  const fields = readObject(value, 'a queue');
  const half = (name: QueueAddressHalf) => readInteger(fields, name, U32_MAX);
  return {
    size: readInteger(fields, 'size', U32_MAX),
    descriptorLow: half('descriptorLow'),
    descriptorHigh: half('descriptorHigh'),
    availableLow: half('availableLow'),
    availableHigh: half('availableHigh'),
    usedLow: half('usedLow'),
    usedHigh: half('usedHigh'),
    position: fields['position'] === null ? null : readPosition(fields['position']),
  };
}

function readPosition(value: unknown): QueuePosition {
  const fields = readObject(value, 'position');
  return {
    nextAvailable: readInteger(fields, 'nextAvailable', U16_MAX),
    nextUsed: readInteger(fields, 'nextUsed', U16_MAX),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function readObject(value: unknown, name: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(name, value, 'an object');
  return value as Fields;
}

function readList(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name];
  return Array.isArray(value) ? value : refuse(name, value, 'a list');
}

function readString(fields: Fields, name: string): string {
  const value = fields[name];
  return typeof value === 'string' ? value : refuse(name, value, 'a string');
}

function readFeatures(fields: Fields): string {
  const value = readString(fields, 'driverFeatures');
  return FEATURES.test(value) ? value : refuse('driverFeatures', value, '0x and up to 16 hexadecimal digits');
}

function readInteger(fields: Fields, name: string, maximum: number): number {
  return checkInteger(fields[name], name, maximum);
}

function checkInteger(value: unknown, name: string, maximum: number): number {
  const fits = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maximum;
  return fits ? value : refuse(name, value, `a whole number up to ${maximum}`);
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new TransportError('SNAPSHOT', `${name} is ${shownValue(value)}, and not ${allowed}`, { name });
}
