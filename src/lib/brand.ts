// Numbers that must not be mixed up carry their kind in their type.
declare const brand: unique symbol;

/** A value of type T of which the compiler remembers that it is a `Name`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A guest physical address: a safe integer, 0 to 2^52 - 1. */
export type GuestAddress = Brand<number, 'GuestAddress'>;

/** An open file descriptor of this process. */
export type Fd = Brand<number, 'Fd'>;

/** Checks and brands a guest physical address. @throws RangeError when it is no safe integer from 0 to 2^52 - 1 */
export function guestAddress(value: number | bigint): GuestAddress {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0 || number >= 2 ** 52) {
    throw new RangeError(`guest address ${value.toString(16)} (hexadecimal) is not within 52 bits`);
  }
  return number as GuestAddress;
}
