// A network in the words of a request that would make it (ConfigureNetwork of agent.proto).
import type { NetworkDetailsResponse } from '../protocol/agent.gen.ts';
import * as abi from './abi.gen.ts';
import { formatPrefix } from './ip.ts';
import type { Link } from './link.ts';
import type { Rtnetlink } from './rtnetlink.ts';

/** @param options.kernels with the addresses that the kernel makes by itself */
export function describeNetwork(network: Rtnetlink, { kernels }: { kernels: boolean }): NetworkDetailsResponse {
  const links = network.links();
  const addresses = network.addresses().filter(({ isKernels }) => kernels || !isKernels);
  const nameOf = (index: number): string => links.find((link) => link.index === index)?.name ?? '';
  return {
    interfaces: links.map((link) => ({
      name: link.name,
      macAddress: isLoopback(link) ? '' : link.permanentMacAddress || link.macAddress,
      newMacAddress: isLoopback(link) ? '' : link.macAddress,
      mtu: link.mtu,
      addresses: addresses.filter(({ interfaceIndex }) => interfaceIndex === link.index).map(formatPrefix),
      down: (link.flags & abi.IFF_UP) === 0,
      noArp: (link.flags & abi.IFF_NOARP) !== 0,
    })),
    routes: network.routes().flatMap(({ route, isKernels }) => {
      if (route === undefined || isKernels) return [];
      const { destination, interfaceIndex, ...rest } = route;
      const isDefault = destination.prefixLength === 0;
      return { ...rest, destination: isDefault ? '' : formatPrefix(destination), interface: nameOf(interfaceIndex) };
    }),
    neighbours: network
      .neighbours()
      .filter(({ state }) => state !== abi.NUD_NOARP)
      .map(({ interfaceIndex, ...rest }) => ({ ...rest, interface: nameOf(interfaceIndex) })),
  };
}

function isLoopback({ flags }: Link): boolean {
  return (flags & abi.IFF_LOOPBACK) !== 0;
}
