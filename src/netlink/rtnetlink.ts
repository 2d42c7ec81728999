// A network as the kernel has it, and one change at a time to it.
import * as abi from './abi.gen.ts';
import { decodeAddress, encodeAddress, encodeAddressQuery, type InterfaceAddress } from './address.ts';
import { formatPrefix, type Prefix } from './ip.ts';
import { decodeLink, encodeLinkChange, encodeLinkQuery, type Link, type LinkChange } from './link.ts';
import { decodeNeighbour, encodeNeighbour, encodeNeighbourQuery, type Neighbour } from './neighbour.ts';
import { decodeRoute, type ExistingRoute, encodeRoute, encodeRouteQuery, type Route } from './route.ts';
import { NetlinkSession, type NetlinkTransport } from './session.ts';
import { encodeAnswerFilters, encodeIngress, encodeRedirect } from './traffic-control.ts';

const CREATE = abi.NLM_F_CREATE | abi.NLM_F_EXCL;

const isThere = <T>(value: T | undefined): value is T => value !== undefined;

/** To be closed. Every method may throw what the socket throws. */
export class Rtnetlink {
  readonly #socket: NetlinkSession;
  /** Changes made so far. */
  changes = 0;

  /** @param socket in the network namespace that this is about; closed with this */
  constructor(socket: NetlinkTransport) {
    this.#socket = new NetlinkSession(socket);
  }

  close(): void {
    this.#socket.close();
  }

  links(): Link[] {
    return this.#socket.dump(abi.RTM_GETLINK, encodeLinkQuery(), 'interfaces').map(decodeLink);
  }

  addresses(): InterfaceAddress[] {
    return this.#socket.dump(abi.RTM_GETADDR, encodeAddressQuery(), 'addresses').map(decodeAddress).filter(isThere);
  }

  routes(): ExistingRoute[] {
    return this.#socket.dump(abi.RTM_GETROUTE, encodeRouteQuery(), 'routes').map(decodeRoute).filter(isThere);
  }

  neighbours(): Neighbour[] {
    return this.#socket
      .dump(abi.RTM_GETNEIGH, encodeNeighbourQuery(), 'neighbours')
      .map(decodeNeighbour)
      .filter(isThere);
  }

  changeLink(link: Link, change: LinkChange, what: string): void {
    this.#change(abi.RTM_NEWLINK, 0, encodeLinkChange(link.index, change), `${what} of interface ${link.name}`);
  }

  addAddress(link: Link, prefix: Prefix): void {
    const subject = `new address ${formatPrefix(prefix)} of ${link.name}`;
    this.#change(abi.RTM_NEWADDR, CREATE, encodeAddress(link.index, prefix), subject);
  }

  removeAddress(link: Link, address: InterfaceAddress): void {
    this.#change(abi.RTM_DELADDR, 0, address.payload, `old address ${formatPrefix(address)} of ${link.name}`);
  }

  addRoute(route: Route, interfaceName: string): void {
    const via = route.gateway === '' ? '' : ` via ${route.gateway}`;
    const subject = `new route to ${formatPrefix(route.destination)}${via} by ${interfaceName}`;
    this.#change(abi.RTM_NEWROUTE, CREATE, encodeRoute(route), subject);
  }

  removeRoute({ route, payload }: ExistingRoute): void {
    const destination = route === undefined ? 'several places' : formatPrefix(route.destination);
    this.#change(abi.RTM_DELROUTE, 0, payload, `old route to ${destination}`);
  }

  setNeighbour(neighbour: Neighbour): void {
    const flags = abi.NLM_F_CREATE | abi.NLM_F_REPLACE;
    this.#change(abi.RTM_NEWNEIGH, flags, encodeNeighbour(neighbour), `neighbour ${neighbour.address}`);
  }

  removeNeighbour(neighbour: Neighbour): void {
    this.#change(abi.RTM_DELNEIGH, 0, encodeNeighbour(neighbour), `old neighbour ${neighbour.address}`);
  }

  /** Sends all that comes in at an interface on by another one; what was set up before for what comes in there goes. */
  redirect(from: Link, to: Link): void {
    try {
      this.#change(abi.RTM_DELQDISC, 0, encodeIngress(from.index), `old ingress of ${from.name}`);
    } catch {
      // There was none; kernels have more than one error number for that. If it cannot be removed, the next request fails.
    }
    this.#change(abi.RTM_NEWQDISC, CREATE, encodeIngress(from.index), `ingress of ${from.name}`);
    const subject = `redirection from ${from.name} to ${to.name}`;
    this.#change(abi.RTM_NEWTFILTER, CREATE, encodeRedirect(from.index, to.index), subject);
  }

  /** Lets an interface's own network have what answers its resolver; to be called after `redirect`, for the same interfaces. */
  passAnswers(from: Link, to: Link): void {
    const subject = `filter of ${from.name} for answers to the resolver`;
    for (const filter of encodeAnswerFilters(from.index, to.index)) {
      this.#change(abi.RTM_NEWTFILTER, CREATE, filter, subject);
    }
  }

  #change(type: number, flags: number, payload: Uint8Array, subject: string): void {
    this.#socket.request(type, flags, payload, subject);
    this.changes += 1;
  }
}
