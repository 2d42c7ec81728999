// What the balloon device needs of the host.

export interface BalloonBackend {
  /**
   * Gives guest RAM back to the host; it reads as zeros when it is touched again.
   * @param address of a page, in RAM @param length whole pages of 4 KiB, all of them RAM
   * @throws when the host could not: the guest does not care
   */
  discard(address: number, length: number): void;
}
