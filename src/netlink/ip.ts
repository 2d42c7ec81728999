// Texts of addresses: IPv4, IPv6 (RFC 4291, 2.2; written as RFC 5952 asks), prefixes, MAC addresses. Pure.

const IPV4_SIZE = 4;
const IPV6_SIZE = 16;
const IPV6_GROUPS = 8;

/** An address of the family 4 or 6. */
export type IpFamily = 4 | 6;

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== IPV4_SIZE) return undefined;
  const bytes = parts.map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  return bytes.every((byte) => byte < 256) ? bytes : undefined;
}

/** Groups of one side of `::`, as bytes; the last may be an IPv4 address. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (last && index === groups.length - 1 && group.includes('.')) {
      const ipv4 = parseIpv4(group);
      if (ipv4 === undefined) return undefined;
      bytes.push(...ipv4);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 255);
    }
  }
  return bytes;
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::');
  const [first = '', second] = halves;
  if (halves.length > 2) return undefined;
  const head = parseGroups(first, second === undefined);
  const tail = second === undefined ? [] : parseGroups(second, true);
  if (head === undefined || tail === undefined) return undefined;
  const gap = IPV6_SIZE - head.length - tail.length;
  // "::" stands for one group at least.
  if (second === undefined ? gap !== 0 : gap < 2) return undefined;
  return [...head, ...new Array<number>(gap).fill(0), ...tail];
}

/** The bytes of an address; nothing when the text is none. */
export function parseIp(text: string): Uint8Array | undefined {
  const bytes = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  return bytes === undefined ? undefined : Uint8Array.from(bytes);
}

/** The bytes of an address that has been checked. */
export function ipBytes(text: string): Uint8Array {
  const bytes = parseIp(text);
  if (bytes === undefined) throw new RangeError(`"${text}" is no IP address`);
  return bytes;
}

/** The one text of an address. Of several, the first longest run of zero groups becomes `::`. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === IPV4_SIZE) return bytes.join('.');
  const groups = Array.from({ length: IPV6_GROUPS }, (_, index) =>
    (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
  );
  let [start, length] = [0, 1];
  for (let index = 0; index < IPV6_GROUPS; index++) {
    const run = groups.slice(index).findIndex((group) => group !== '0');
    const zeros = run < 0 ? IPV6_GROUPS - index : run;
    if (zeros > length) [start, length] = [index, zeros];
  }
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

export function familyOf(address: string): IpFamily {
  return address.includes(':') ? 6 : 4;
}

/** The address of that family whose bits are all 0. */
export function unspecified(family: IpFamily): string {
  return family === 4 ? '0.0.0.0' : '::';
}

export interface Prefix {
  readonly address: string;
  readonly prefixLength: number;
}

/** An address with its prefix length: `192.0.2.7/24`. Nothing when the text is none. */
export function parsePrefix(text: string): Prefix | undefined {
  const [, before = '', digits = ''] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const bytes = parseIp(before);
  const prefixLength = Number(digits);
  if (bytes === undefined || prefixLength > 8 * bytes.length) return undefined;
  return { address: formatIp(bytes), prefixLength };
}

export function formatPrefix({ address, prefixLength }: Prefix): string {
  return `${address}/${prefixLength}`;
}

/** The bits behind a prefix: all set, or none. */
function fillHost({ address, prefixLength }: Prefix, fill: 0 | 255): string {
  const bytes = ipBytes(address);
  for (const [index, byte] of bytes.entries()) {
    const host = 0xff >> Math.min(8, Math.max(0, prefixLength - 8 * index));
    bytes[index] = (byte & ~host) | (fill & host);
  }
  return formatIp(bytes);
}

/** The network that an address with its prefix is in. */
export function networkOf(prefix: Prefix): Prefix {
  return { address: fillHost(prefix, 0), prefixLength: prefix.prefixLength };
}

/** The broadcast address of an IPv4 network; none for one of at most two addresses (RFC 3021). */
export function broadcastOf(prefix: Prefix): string | undefined {
  return familyOf(prefix.address) === 4 && prefix.prefixLength <= 30 ? fillHost(prefix, 255) : undefined;
}

/** Lower-case text of a MAC address; nothing when the text is none. */
export function parseMac(text: string): string | undefined {
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) ? text.toLowerCase() : undefined;
}

export function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
