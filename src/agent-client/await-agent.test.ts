import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { agentService, PROTOCOL_MAJOR, PROTOCOL_MINOR } from '../protocol/agent-service.ts';
import { MethodTable, serveConnection } from '../protocol/server.ts';
import { awaitAgent } from './await-agent.ts';
import { socketStream } from './socket-stream.ts';

const OPTIONS = () => ({ realtimeNs: 0n, entropy: new Uint8Array(), sharedTag: '' });

let folder = '';
let path = '';
let server: Server;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'await-agent-'));
  path = join(folder, 'sock');
  server = createServer().listen(path);
  await once(server, 'listening');
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

function callAsAgent(): void {
  const answer = {
    protocolMajor: PROTOCOL_MAJOR,
    protocolMinor: PROTOCOL_MINOR,
    agentVersion: '1',
    kernelRelease: '6',
    agentAgeNs: 0n,
    agentUserNs: 0n,
    agentSystemNs: 0n,
  };
  const { name, methods } = agentService;
  const table = new MethodTable().add(
    { name, methods: { Handshake: methods.Handshake } },
    { Handshake: async () => answer },
  );
  void serveConnection(socketStream(connect(path)), table);
}

test('a connection that was given up is followed by another one', async () => {
  const greeted = awaitAgent(server, OPTIONS);
  connect(path).destroy();
  const given = connect(path);
  await once(given, 'connect');
  given.destroy();
  callAsAgent();

  const { agent, details } = await greeted;

  expect(details.kernelRelease).toBe('6');
  expect(server.listening).toBe(false);
  agent.close();
});

test('a guest that does not call is given up by the signal', async () => {
  await expect(awaitAgent(server, OPTIONS, AbortSignal.timeout(10))).rejects.toThrow('aborted');
  expect(server.listening).toBe(false);
});
