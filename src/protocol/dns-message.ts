// Messages of the domain name system, as far as somebody needs to know them who passes them on (RFC 1035). Pure.

/** Header of each message (4.1.1). */
export const DNS_HEADER_BYTES = 12;
/** Longest query that is passed on. It has one name, of 255 bytes at most, and options of EDNS. */
export const DNS_QUERY_BYTES_MAX = 4096;
/** Longest message of all: on TCP its length is a number of 16 bits in front of it (4.2.2). */
export const DNS_MESSAGE_BYTES_MAX = 0xffff;
/** Queries that may wait for their answers at once. */
export const DNS_QUERIES_MAX = 128;
/** Where Docker has its resolver, in each network namespace that has one. */
export const RESOLVER_ADDRESS = '127.0.0.11';
export const DNS_PORT = 53;

const LENGTH_BYTES = 2;
/** In the third byte of a message: it is an answer. */
const QR = 0x80;
/** In the fourth byte: how it went, the last four bits. */
const RCODE_MASK = 0x0f;
const RCODE_SERVER_FAILURE = 2;
/** Counts of answers and of authorities; the question and the options of EDNS stay. */
const ANSWER_COUNTS = { from: 6, to: 10 } as const;

/** Whether this can be passed on as a query. */
export function isDnsQuery(message: Uint8Array): boolean {
  const [, , flags = QR] = message;
  return message.length >= DNS_HEADER_BYTES && message.length <= DNS_QUERY_BYTES_MAX && (flags & QR) === 0;
}

/** A message as it goes over TCP. */
export function withLength(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES + message.length);
  new DataView(bytes.buffer).setUint16(0, message.length);
  bytes.set(message, LENGTH_BYTES);
  return bytes;
}

/** The answer of a resolver that cannot reach those who know: who asks need not wait for it (SERVFAIL). */
export function serverFailure(query: Uint8Array): Uint8Array {
  const answer = query.slice();
  answer[2] = (query[2] ?? 0) | QR;
  answer[3] = ((query[3] ?? 0) & ~RCODE_MASK) | RCODE_SERVER_FAILURE;
  answer.fill(0, ANSWER_COUNTS.from, ANSWER_COUNTS.to);
  return answer;
}

/** Takes the messages out of what comes by TCP, in pieces of any size. Holds one message at most, and the last piece. */
export class DnsStream {
  readonly #messageMax: number;
  #bytes = new Uint8Array(0);

  /** @param messageMax longest message that is taken, bytes */
  constructor(messageMax: number) {
    this.#messageMax = messageMax;
  }

  push(piece: Uint8Array): void {
    const bytes = new Uint8Array(this.#bytes.length + piece.length);
    bytes.set(this.#bytes);
    bytes.set(piece, this.#bytes.length);
    this.#bytes = bytes;
  }

  /**
   * The next message that is complete; to be called until there is none, before more is pushed.
   * @throws RangeError when one begins that is too long
   */
  next(): Uint8Array | undefined {
    if (this.#bytes.length < LENGTH_BYTES) return undefined;
    const { buffer, byteOffset } = this.#bytes;
    const length = new DataView(buffer, byteOffset).getUint16(0);
    if (length > this.#messageMax) throw new RangeError(`a message of ${length} bytes: at most ${this.#messageMax}`);
    const end = LENGTH_BYTES + length;
    if (this.#bytes.length < end) return undefined;
    const message = this.#bytes.slice(LENGTH_BYTES, end);
    this.#bytes = this.#bytes.subarray(end);
    return message;
  }
}
