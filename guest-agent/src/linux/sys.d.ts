// The C module of ../../native/sys.c.
declare module 'tskata-sys' {
  /** What the kernel takes: an integer, a C string, the address of bytes, or a null pointer. */
  export type Argument = number | bigint | string | Uint8Array | null;

  /** The command line; `argv[0]` is the program. */
  export const argv: readonly string[];
  /** syscall(2). @returns the result, or minus the error number */
  export function syscall(number: number, ...values: Argument[]): number;
  /** execve(2). Returns only when it failed. @returns minus the error number */
  export function execve(path: string, argv: readonly string[], envp: readonly string[]): number;
  /** Where the bytes are. Good for as long as the array is referenced. */
  export function addressOf(bytes: Uint8Array): bigint;
  /** Ends this process by SIGILL. */
  export function trap(): never;
  export function encodeUtf8(text: string): Uint8Array;
  /** What is no UTF-8 becomes U+FFFD. */
  export function decodeUtf8(bytes: Uint8Array): string;
}
