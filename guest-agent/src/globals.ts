// The globals that generated protobuf code needs and QuickJS lacks. Imported first, for its effect.
import { decodeUtf8, encodeUtf8 } from 'tskata-sys';

class TextEncoder {
  encode(text: string): Uint8Array {
    return encodeUtf8(text);
  }
}

class TextDecoder {
  readonly #fatal: boolean;

  constructor(_label = 'utf-8', options: { fatal?: boolean } = {}) {
    this.#fatal = options.fatal ?? false;
  }

  decode(bytes: Uint8Array): string {
    const text = decodeUtf8(bytes);
    if (this.#fatal && text.includes('\ufffd')) {
      // A replacement character that was in the input comes out as the same bytes again.
      const again = encodeUtf8(text);
      if (again.length !== bytes.length || again.some((byte, index) => byte !== bytes[index])) {
        throw new TypeError('these bytes are no UTF-8');
      }
    }
    // The Encoding Standard, "UTF-8 decode": a byte order mark at the beginning is no part of the text.
    return text.startsWith('\ufeff') ? text.slice(1) : text;
  }
}

Object.assign(globalThis, { TextEncoder, TextDecoder });
