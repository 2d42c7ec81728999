import { statSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import type { Namespace, NamespaceType } from '../oci/config.ts';
import { type Neighbour, planNamespaces } from './namespaces.ts';

/** A namespace that is certainly there: that of this process. */
function ownPath(type: NamespaceType, name: string = type): Namespace & { readonly path: string } {
  return { type, path: `/proc/${process.pid}/ns/${name}` };
}

function identityOf(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

/** The container for which this process stands. */
function neighbour(options: Partial<Neighbour> = {}): Neighbour {
  return { id: 'other', init: { pid: process.pid, startTime: 1 }, namespaces: { ipc: '', pid: '' }, ...options };
}

function plan(namespaces: Namespace[], sandboxId?: string, ...neighbours: Neighbour[]) {
  return planNamespaces(namespaces, sandboxId === undefined ? undefined : { sandboxId }, () => neighbours);
}

describe('planNamespaces', () => {
  test('gives the proxy those of its kinds that are new, and the guest all', () => {
    expect(plan([{ type: 'pid' }, { type: 'network' }, { type: 'ipc', path: '' }])).toEqual({
      host: [{ type: 'network' }, { type: 'ipc' }],
      shared: {},
      identities: { pid: '', network: '', ipc: '' },
      hasNetwork: true,
    });
  });

  test("leaves the host's own network alone", () => {
    expect(plan([{ type: 'network', path: '/proc/self/ns/net' }]).hasNetwork).toBe(false);
    expect(plan([]).hasNetwork).toBe(false);
  });

  test('shares what another container of the same VM has', () => {
    const ipc = ownPath('ipc');

    const { host, shared, identities } = plan([ipc, ownPath('pid')], 'pod', neighbour({ sandboxId: 'pod' }));

    expect(host).toEqual([ipc]);
    expect(shared).toEqual({ ipc: 'other', pid: 'other' });
    expect(identities.ipc).toBe(identityOf(ipc.path));
  });

  test('finds a container by what it has joined, too', () => {
    const user = ownPath('user');
    const bound = neighbour({ id: 'pod', init: { pid: 1, startTime: 1 }, namespaces: { user: identityOf(user.path) } });

    expect(plan([user], 'pod', bound).shared).toEqual({ user: 'pod' });
  });

  test('has it from the first container of the VM, where several share it: others may be gone by then', () => {
    const late = neighbour({ id: 'a', sandboxId: 'pod' });

    expect(plan([ownPath('ipc')], 'pod', late, neighbour({ id: 'pod' })).shared).toEqual({ ipc: 'pod' });
  });

  test('asks for other containers only where it is not of the first one of its VM, and then once', () => {
    const neighbours = vi.fn(() => []);
    const first = neighbour({ id: 'pod', namespaces: { ipc: '', pid: '', user: '1:1' } });
    const vm = { sandboxId: 'pod', first };

    expect(planNamespaces([ownPath('ipc'), ownPath('pid')], vm, neighbours).shared).toEqual({ ipc: 'pod', pid: 'pod' });
    expect(neighbours).not.toHaveBeenCalled();

    planNamespaces([ownPath('network', 'net'), ownPath('cgroup')], undefined, neighbours);
    expect(neighbours).toHaveBeenCalledTimes(1);
  });

  test("takes the VM's own where that container has none of its own", () => {
    expect(plan([ownPath('uts')], 'pod', neighbour({ id: 'pod' }))).toMatchObject({
      shared: { uts: '' },
      identities: {},
    });
  });

  test("takes the VM's own in the place of the host's", () => {
    expect(plan([ownPath('cgroup'), ownPath('ipc')])).toMatchObject({
      shared: { cgroup: '', ipc: '' },
      identities: {},
    });
  });

  test('refuses what a container in another VM has', () => {
    const join = () => plan([ownPath('ipc')], undefined, neighbour({ id: 'c7', sandboxId: 'pod' }));

    expect(join).toThrow(
      'it is that of container c7, which runs in another virtual machine; to put both into one, set the annotation io.tskata.sandbox-id to pod',
    );
  });

  test.each<[string, Namespace, string]>([
    [
      'is not there',
      { type: 'ipc', path: '/proc/4194305/ns/ipc' },
      'unable to create new parent process: namespace path: lstat /proc/4194305/ns/ipc: no such file or directory',
    ],
    ['is none', { type: 'uts', path: '/dev/null' }, 'linux.namespaces: /dev/null is no namespace'],
    ['holds mounts', ownPath('mount', 'mnt'), 'each container has a mount namespace of its own'],
  ])('refuses a path that %s', (_, namespace, message) => {
    expect(() => plan([namespace])).toThrow(message);
  });

  describe('of the network', () => {
    const network = ownPath('network', 'net');

    test("takes a path for a VM that is no other one's", () => {
      expect(plan([network], undefined).host).toEqual([network]);
    });

    test("refuses another VM's for a VM, and says how both are put into one", () => {
      const join = () => plan([network], undefined, neighbour({ namespaces: { network: '' } }));

      expect(join).toThrow('it is that of container other, which runs in another virtual machine');
      expect(join).toThrow('set the annotation io.tskata.sandbox-id to other');
    });

    test("takes the sandbox's for what is put into its VM", () => {
      expect(plan([network], 'pod', neighbour({ id: 'pod', namespaces: { network: '' } })).host).toEqual([network]);
    });

    test.each([
      ['a new one', { type: 'network' } as const],
      ["another VM's", network],
    ])('refuses %s for what is put into a VM', (_, namespace) => {
      const join = () => plan([namespace], 'pod', neighbour({ namespaces: { network: '' } }));

      expect(join).toThrow('containers of one virtual machine share its network, which is that of pod');
    });
  });
});
