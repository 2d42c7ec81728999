// What the memory device needs of the host.

export interface MemoryBackend {
  /**
   * Makes a block RAM of the guest. What is in it is undefined.
   * @param block number of a block that is not plugged, from the start of the region
   * @throws when the host cannot: the block is not plugged then
   */
  plug(block: number): void;
  /**
   * Takes a block from the guest, and gives its pages back to the host.
   * @param block number of a block that is plugged
   * @throws when the host cannot: the block is plugged then, and what was in it may be gone
   */
  unplug(block: number): void;
}
