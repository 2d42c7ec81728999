// Reads and writes the messages of Protocol Buffers (proto3) by tables of their fields; the tables are in *.gen.ts.
//
// A table is text, a field a line: its number, its type, its name. One reader and writer for all messages, and tables that
// are read when a message is first used, keep the agent small: code for each message took a quarter of its memory.

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Reads and writes one kind of message. */
export interface MessageCodec<T> {
  /** @throws Error of a value that its field cannot have */
  encode(message: T): Uint8Array;
  /** What it gives refers to `bytes` where a field is of type bytes. @throws Error of bytes that are no such message */
  decode(bytes: Uint8Array): T;
}

/** How scalar types are written, and the value that proto3 leaves out. */
const SCALARS = {
  bool: { wire: WireType.Varint, zero: false },
  int32: { wire: WireType.Varint, zero: 0 },
  uint32: { wire: WireType.Varint, zero: 0 },
  int64: { wire: WireType.Varint, zero: 0n },
  uint64: { wire: WireType.Varint, zero: 0n },
  double: { wire: WireType.Bit64, zero: 0 },
  string: { wire: WireType.LengthDelimited, zero: '' },
  bytes: { wire: WireType.LengthDelimited, zero: new Uint8Array(0) },
} as const;

/** Names of the scalar types that a table may have. */
export type ScalarType = keyof typeof SCALARS;

/**
 * How often a field is there: once, left out if zero (''); once, written if zero ('!'); once or not at all ('?'); a list; a
 * map of scalars by text.
 */
export type Presence = '' | '!' | '?' | '*' | '%';

/** What `fieldLine` writes. */
const FIELD = /(\d+) (\w+)([!?*%]?) (?:(\w+)\.)?(\w+)/g;

/**
 * A line of a table.
 * @param type a scalar, or the name of a message of the same file
 * @param oneof the property that holds the field as `{ $case, value }`
 */
export function fieldLine(number: number, type: string, presence: Presence, oneof: string | undefined, name: string) {
  return `${number} ${type}${presence} ${oneof === undefined ? '' : `${oneof}.`}${name}`;
}

interface Field {
  readonly number: number;
  readonly name: string;
  readonly oneof: string | undefined;
  readonly presence: Presence;
  readonly type: ScalarType | MessageType;
  readonly wire: WireType;
  /** What is not written, and what a message has that lacks the field. */
  readonly absent: unknown;
}

type Message = Record<string, unknown>;
type Case = { readonly $case: string; readonly value: unknown } | undefined;

/** The messages of a .proto file, which refer to each other by name. */
export class MessageTypes {
  readonly #types = new Map<string, MessageType>();

  /** @param table lines of `fieldLine` */
  add<T>(name: string, table: string): MessageCodec<T> {
    const type = new MessageType(this.#types, table);
    this.#types.set(name, type);
    return type as unknown as MessageCodec<T>;
  }
}

class MessageType implements MessageCodec<Message> {
  readonly #types: ReadonlyMap<string, MessageType>;
  #table: string | readonly Field[];

  constructor(types: ReadonlyMap<string, MessageType>, table: string) {
    this.#types = types;
    this.#table = table;
  }

  encode(message: Message): Uint8Array {
    const writer = new BinaryWriter();
    this.#write(message, writer);
    return writer.finish();
  }

  decode(bytes: Uint8Array): Message {
    const reader = new BinaryReader(bytes);
    const message: Message = {};
    for (const field of this.#fields()) message[field.oneof ?? field.name] = initial(field);
    while (reader.pos < reader.len) {
      const [number, wire] = reader.tag();
      const field = this.#fields().find((candidate) => candidate.number === number);
      if (field !== undefined && wire === field.wire) {
        put(message, field, readValue(reader, field.type));
      } else if (field !== undefined && wire === WireType.LengthDelimited && field.presence === '*') {
        const packed = new BinaryReader(reader.bytes());
        while (packed.pos < packed.len) put(message, field, readValue(packed, field.type));
      } else {
        reader.skip(wire, number);
      }
    }
    return message;
  }

  #fields(): readonly Field[] {
    if (typeof this.#table === 'string') {
      this.#table = [...this.#table.matchAll(FIELD)].map(([, ...words]) => this.#parse(words));
    }
    return this.#table;
  }

  #parse([number, typeName = '', presence, oneof, name = '']: readonly (string | undefined)[]): Field {
    const isMap = presence === '%';
    const scalar = isMap
      ? undefined
      : (SCALARS as Record<string, { wire: WireType; zero: unknown } | undefined>)[typeName];
    let type = scalar === undefined ? this.#types.get(typeName) : (typeName as ScalarType);
    // Protocol Buffers, "Encoding", Maps: a list of messages of these two fields.
    if (isMap) type = new MessageType(this.#types, `1 string! key 2 ${typeName}! value`);
    if (type === undefined)
      throw new TypeError(`the table of a message names the type ${typeName}, which there is not`);
    return {
      number: Number(number),
      name,
      oneof,
      presence: presence as Presence,
      type,
      wire: scalar?.wire ?? WireType.LengthDelimited,
      absent: (presence === '' || presence === '!') && oneof === undefined ? scalar?.zero : undefined,
    };
  }

  #write(message: Message, writer: BinaryWriter): void {
    for (const field of this.#fields()) {
      const values = valuesOf(field, message);
      if (field.presence === '*' && field.wire !== WireType.LengthDelimited) {
        // Protocol Buffers, "Encoding", Packed Repeated Fields: how proto3 writes lists of numbers.
        if (values.length === 0) continue;
        writer.tag(field.number, WireType.LengthDelimited).fork();
        for (const value of values) this.#writeValue(field.type, value, writer);
        writer.join();
      } else {
        for (const value of values) {
          writer.tag(field.number, field.wire);
          this.#writeValue(field.type, value, writer);
        }
      }
    }
  }

  #writeValue(type: ScalarType | MessageType, value: unknown, writer: BinaryWriter): void {
    if (typeof type === 'string') {
      writer[type](value as never);
    } else {
      type.#write(value as Message, writer.fork());
      writer.join();
    }
  }
}

/** What a message has of a field before any was read. */
function initial({ presence, absent }: Field): unknown {
  if (presence === '*') return [];
  return presence === '%' ? {} : absent;
}

function put(message: Message, { name, oneof, presence }: Field, value: unknown): void {
  if (oneof !== undefined) message[oneof] = { $case: name, value };
  else if (presence === '*') (message[name] as unknown[]).push(value);
  else if (presence === '%')
    (message[name] as Message)[(value as Message)['key'] as string] = (value as Message)['value'];
  else message[name] = value;
}

/** What is to be written of a field. */
function valuesOf({ name, oneof, presence, absent }: Field, message: Message): readonly unknown[] {
  if (oneof !== undefined) {
    const chosen = message[oneof] as Case;
    return chosen?.$case === name ? [chosen.value] : [];
  }
  const value = message[name];
  if (presence === '*') return value as unknown[];
  if (presence === '%') return Object.entries(value as Message).map(([key, item]) => ({ key, value: item }));
  if (presence === '!') return [value];
  const isAbsent = value === absent || (value instanceof Uint8Array && value.length === 0 && absent !== undefined);
  return isAbsent ? [] : [value];
}

function readValue(reader: BinaryReader, type: ScalarType | MessageType): unknown {
  return typeof type === 'string' ? reader[type]() : type.decode(reader.bytes());
}
