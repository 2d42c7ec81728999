// The rules of linux.resources (OCI runtime-spec 1.2, config-linux.md, "Control groups"): the types of its values. What a value
// means to a control group is judged where that is, in the guest.
import { boolean, type Check, integer, listOf, mapOf, nonEmptyString, object, oneOf, string, value } from './check.ts';

const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;

/** The greatest values of 64 bits are beyond JavaScript's exact integers and arrive rounded. */
function whole(minimum: number, maximum: number, bits: string): Check {
  const fits = (found: unknown): boolean =>
    Number.isInteger(found) && Number(found) >= minimum && Number(found) <= maximum;
  return value(fits, `a whole number of 64 bits, ${bits}`);
}

const int64 = whole(-(2 ** 63), 2 ** 63, 'signed');
const uint64 = whole(0, 2 ** 64, 'not negative');

/** config-linux.md, "Allowed Device list". -1 stands for every number with runc and its callers. */
const deviceNumber = integer(-1, U32_MAX);
const deviceRule = object(
  { allow: boolean },
  {
    type: oneOf(['a', 'b', 'c', '']),
    major: deviceNumber,
    minor: deviceNumber,
    access: value((found) => typeof found === 'string' && /^[rwm]*$/.test(found), 'made of the letters r, w and m'),
  },
);

const blockDevice = { major: int64, minor: int64 };
const throttle = listOf(object({ ...blockDevice, rate: uint64 }));
const weight = integer(0, U16_MAX);

/** config-linux.md, "Control groups" with its parts. */
export const resources = object(
  {},
  {
    devices: listOf(deviceRule),
    memory: object(
      {},
      {
        limit: int64,
        reservation: int64,
        swap: int64,
        kernel: int64,
        kernelTCP: int64,
        swappiness: uint64,
        disableOOMKiller: boolean,
        useHierarchy: boolean,
        checkBeforeUpdate: boolean,
      },
    ),
    cpu: object(
      {},
      {
        shares: uint64,
        quota: int64,
        burst: uint64,
        period: uint64,
        realtimeRuntime: int64,
        realtimePeriod: uint64,
        cpus: string,
        mems: string,
        idle: int64,
      },
    ),
    pids: object({}, { limit: int64 }),
    blockIO: object(
      {},
      {
        weight,
        leafWeight: weight,
        weightDevice: listOf(object(blockDevice, { weight, leafWeight: weight })),
        throttleReadBpsDevice: throttle,
        throttleWriteBpsDevice: throttle,
        throttleReadIOPSDevice: throttle,
        throttleWriteIOPSDevice: throttle,
      },
    ),
    hugepageLimits: listOf(object({ pageSize: nonEmptyString, limit: uint64 })),
    network: object(
      {},
      {
        classID: integer(0, U32_MAX),
        priorities: listOf(object({ name: nonEmptyString, priority: integer(0, U32_MAX) })),
      },
    ),
    rdma: mapOf(object({}, { hcaHandles: integer(0, U32_MAX), hcaObjects: integer(0, U32_MAX) })),
    unified: mapOf(string),
  },
);
