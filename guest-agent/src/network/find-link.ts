// Which of the guest's interfaces the host means. Pure.
import * as abi from '../../../src/netlink/abi.gen.ts';
import type { Link } from '../../../src/netlink/link.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import type { InterfacePlan } from './plan.ts';

/**
 * The interface that a plan means; nothing when there is none. One whose device came with the MAC address counts first: others
 * may have been given the same (a VLAN on top of it, say).
 * @throws StatusError when several could be meant
 */
export function findLink(links: readonly Link[], { macAddress }: Pick<InterfacePlan, 'macAddress'>): Link | undefined {
  if (macAddress === '') return links.find((link) => (link.flags & abi.IFF_LOOPBACK) !== 0);
  const owner = links.find((link) => link.permanentMacAddress === macAddress);
  if (owner !== undefined) return owner;
  const found = links.filter((link) => link.macAddress === macAddress);
  const [first, second] = found;
  if (second === undefined) return first;
  const names = found.map(({ name }) => name).join(', ');
  throw new StatusError('FAILED_PRECONDITION', `several interfaces have the MAC address ${macAddress}: ${names}`);
}
