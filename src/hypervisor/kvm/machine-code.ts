// Tiny guests are written as listings: bytes in hexadecimal, a semicolon, the instruction.

/**
 * The bytes of a listing: `b0 41 ; mov al, 0x41`, one instruction per line.
 * @throws RangeError for anything before a semicolon that is not a byte
 */
export function machineCode(listing: string): Uint8Array {
  const bytes = listing
    .split('\n')
    .flatMap((line) => (line.split(';')[0] ?? '').trim().split(/\s+/))
    .filter((word) => word !== '');
  const wrong = bytes.find((word) => !/^[0-9a-f]{2}$/.test(word));
  if (wrong !== undefined) throw new RangeError(`"${wrong}" in a listing is not a byte in hexadecimal`);
  return Uint8Array.from(bytes, (word) => Number.parseInt(word, 16));
}
