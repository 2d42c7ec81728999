// The generated codecs, the service tables and the .proto files say the same.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HandshakeRequest } from './agent.gen.ts';
import { agentService } from './agent-service.ts';
import { generate, protocols } from './generate.ts';
import { sandboxService } from './sandbox-service.ts';
import { Response } from './ttrpc.gen.ts';

const read = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8');

/** `npm test` installs it; without it the other tests are still worth running. */
const hasCompiler = spawnSync('protoc', ['--version']).status === 0;

test.skipIf(!hasCompiler).each(protocols)(
  '%s.gen.ts is what its .proto file generates (needs protoc)',
  async (protocol) => {
    expect(await generate(protocol)).toBe(read(`${protocol}.gen.ts`));
  },
);

test.each([
  ['agent.proto', agentService],
  ['sandbox.proto', sandboxService],
])('the table of %s has its methods', (file, service) => {
  const text = read(file);
  const name = `${/^package (\S+);/m.exec(text)?.[1]}.${/^service (\S+)/m.exec(text)?.[1]}`;
  const methods = [...text.matchAll(/^\s*rpc (\w+)\(/gm)].map(([, method]) => method);
  expect(service.name).toBe(name);
  expect(Object.keys(service.methods)).toEqual(methods);
});

test('64-bit numbers keep all their bits', () => {
  const message = {
    protocolMajor: 1,
    protocolMinor: 0,
    realtimeNs: 2n ** 64n - 1n,
    entropy: new Uint8Array(0),
    sharedFilesystemTag: 'π',
  };
  expect(HandshakeRequest.decode(HandshakeRequest.encode(message))).toEqual(message);
});

test('fields that are not known are ignored', () => {
  // Field 15, a string of two characters, then field 2, the payload.
  const bytes = new Uint8Array([0x7a, 2, 0x68, 0x69, 0x12, 1, 7]);
  expect(Response.decode(bytes)).toEqual({ status: undefined, payload: new Uint8Array([7]) });
});
