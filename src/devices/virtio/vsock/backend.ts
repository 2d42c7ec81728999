// What the vsock device needs of the host: byte streams with flow control both ways.

/** The host's end of one connection, as the device uses it. After `destroy` none of its events happens. */
export interface HostStream {
  /** Bytes that have arrived from the host and were not read yet. The stream stops taking more at a bound of its own. */
  readonly readableLength: number;
  /** Whether the host has sent its last byte: what is still readable is the rest. */
  readonly ended: boolean;
  /** The next bytes, at most `maxLength` and at most `readableLength` of them. The caller owns them. */
  read(maxLength: number): Uint8Array;
  /** Passes bytes on to the host, which then owns them. `done` is called, later, when their memory is free again. */
  write(bytes: Uint8Array, done: () => void): void;
  /** Nothing more will be written. `done` is called, later, when all of it was passed on. */
  end(done: () => void): void;
  /** Ends both directions at once and forgets what was not passed on. */
  destroy(): void;
}

/** What a host stream tells. None is called from inside a call of HostStream's or VsockHost's. */
export interface HostStreamEvents {
  /** The stream to a host port is open; not called on streams that the host opened. */
  opened(): void;
  /** There is more to read, or `ended` became true. */
  readable(): void;
  /** The stream broke or could not be opened. Called at most once, and last. */
  failed(error: Error): void;
}

/** The host side of all connections. */
export interface VsockHost {
  /** The guest connects to a port of the host. The answer comes by `opened` or `failed`. */
  connect(hostPort: number, events: HostStreamEvents): HostStream;
}

/** A connection that the host opens to a port of the guest: what the device offers to the host side. */
export interface GuestConnector {
  /**
   * Opens a connection to a guest port. One of `accepted` and `refused` is called, once; `refused` perhaps before this
   * returns. What `stream` has to read stays in it until the guest has accepted.
   * @returns where the stream's events go
   */
  connectToGuest(
    guestPort: number,
    stream: HostStream,
    answer: { accepted(hostPort: number): void; refused(reason: string): void },
  ): HostStreamEvents;
}
