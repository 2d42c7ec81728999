import { describe, expect, test } from 'vitest';
import { parseJsonObject } from './json.ts';
import { parseNamespaces } from './namespaces.ts';
import { parseSysctl } from './sysctl.ts';

const ROOT = { containerID: 0, hostID: 100000, size: 65536 };
const MAPPINGS = { uidMappings: [ROOT], gidMappings: [ROOT] };

/** linux.* of a config.json whose namespaces are these, beside a new one for mounts. */
function linux(namespaces: readonly object[], more: object = {}) {
  return parseJsonObject(JSON.stringify({ namespaces: [{ type: 'mount' }, ...namespaces], ...more }), '');
}

describe('namespaces', () => {
  test('are new where they have no path, and there already where they have one', () => {
    const { namespaces } = parseNamespaces(
      linux([
        { type: 'ipc', path: '' },
        { type: 'uts', path: '/proc/7/ns/uts' },
      ]),
    );
    expect([...namespaces]).toEqual([
      ['mount', undefined],
      ['ipc', undefined],
      ['uts', '/proc/7/ns/uts'],
    ]);
  });

  test.each([
    [linux([{ type: 'galaxy' }]), 'namespaces[1].type is "galaxy", which is no namespace'],
    [linux([{ type: 'ipc' }, { type: 'ipc' }]), 'namespaces[2].type: "ipc" is there already: each type once'],
    [linux([{ type: 'user' }]), 'user namespaces enabled, but no uid mappings found'],
    [linux([{ type: 'user' }], { uidMappings: [ROOT] }), 'user namespaces enabled, but no gid mappings found'],
    [
      linux([{ type: 'user' }], { ...MAPPINGS, uidMappings: [{ ...ROOT, containerID: 1 }] }),
      'no user mapping found for 0',
    ],
    [
      linux([{ type: 'user' }], { ...MAPPINGS, gidMappings: [{ ...ROOT, containerID: 1 }] }),
      'no group mapping found for 0',
    ],
    [linux([{ type: 'user' }], { ...MAPPINGS, uidMappings: [{ ...ROOT, size: 0 }] }), 'uidMappings[0].size'],
    [linux([{ type: 'user' }], { ...MAPPINGS, uidMappings: [{ ...ROOT, hostID: 2 ** 32 }] }), 'uidMappings[0].hostID'],
    [linux([], MAPPINGS), "user namespace mappings specified, but user namespace isn't enabled"],
    [
      linux([], { timeOffsets: { monotonic: { secs: 1 } } }),
      "time namespace offsets specified, but time namespace isn't enabled",
    ],
    [linux([{ type: 'time' }], { timeOffsets: { realtime: { secs: 1 } } }), 'timeOffsets.realtime'],
    [linux([{ type: 'time' }], { timeOffsets: { boottime: { nanosecs: 1e9 } } }), 'timeOffsets.boottime.nanosecs'],
    [
      linux([{ type: 'time', path: '/proc/7/ns/time' }], { timeOffsets: { boottime: { secs: 1 } } }),
      'the one to join has its own already',
    ],
  ])('refuse what makes no sense, by name: %#', (object, message) => {
    expect(() => parseNamespaces(object)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    );
  });

  test.each([
    [parseJsonObject('{}', ''), 'a container must have a mount namespace'],
    [
      parseJsonObject('{"namespaces":[{"type":"mount","path":"/proc/7/ns/mnt"}]}', ''),
      'the mount namespace /proc/7/ns/mnt is not supported: a second root in it would take the place of the first',
    ],
  ])("cannot do without one for the container's own mounts: %#", (object, message) => {
    expect(() => parseNamespaces(object)).toThrow(
      expect.objectContaining({ code: 'UNIMPLEMENTED', message: expect.stringContaining(message) }),
    );
  });

  test('need no mappings to join one for users', () => {
    const { userNamespace } = parseNamespaces(linux([{ type: 'user', path: '/proc/7/ns/user' }]));
    expect(userNamespace).toEqual({ uidMappings: [], gidMappings: [] });
  });

  test('have clocks ahead of and behind the others', () => {
    const timeOffsets = { monotonic: { secs: 172800, nanosecs: 5 }, boottime: { secs: -3 } };
    expect(parseNamespaces(linux([{ type: 'time' }], { timeOffsets })).timeOffsets).toEqual([
      { clock: 'monotonic', seconds: 172800, nanoseconds: 5 },
      { clock: 'boottime', seconds: -3, nanoseconds: 0 },
    ]);
  });
});

describe('sysctl', () => {
  const parse = (name: string, kinds: readonly string[]) => {
    const object = linux(
      kinds.map((type) => ({ type })),
      { sysctl: { [name]: '1' } },
    );
    return parseSysctl(object, parseNamespaces(object).namespaces);
  };

  test.each([
    ['kernel.msgmax', ['ipc'], 'kernel/msgmax'],
    ['fs/mqueue/msg_max', ['ipc'], 'fs/mqueue/msg_max'],
    ['kernel.domainname', ['uts'], 'kernel/domainname'],
    // The network is the machine's, which is the container's.
    ['net.ipv4.ip_forward', [], 'net/ipv4/ip_forward'],
    // sysctl.d(5): the first separator decides what the other one is.
    ['net.ipv4.conf.eno2/100.rp_filter', [], 'net/ipv4/conf/eno2.100/rp_filter'],
    ['net/ipv4/conf/eno2.100/rp_filter', [], 'net/ipv4/conf/eno2.100/rp_filter'],
  ])('%s with namespaces %j is the file %s', (name, kinds, path) => {
    expect(parse(name, kinds)).toEqual([[path, '1']]);
  });

  test.each([
    ['kernel.msgmax', [], 'is not allowed in the hosts ipc namespace'],
    ['kernel.domainname', [], 'is not in a separate kernel namespace'],
    ['kernel.hostname', ['uts'], 'is not allowed as it conflicts with the OCI "hostname" field'],
    ['kernel.panic', ['ipc', 'uts'], 'is not in a separate kernel namespace'],
    ['net/../kernel/panic', [], 'is not in a separate kernel namespace'],
    ['net.//.kernel.panic', [], 'is not in a separate kernel namespace'],
    ['../kernel/panic', [], 'is not in a separate kernel namespace'],
    ['/net/ipv4/ip_forward', [], 'is not in a separate kernel namespace'],
  ])('%s with namespaces %j %s', (name, kinds, problem) => {
    expect(() => parse(name, kinds)).toThrow(`config.json: sysctl "${name}" ${problem}`);
  });
});
