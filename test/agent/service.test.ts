// The agent as a service: handshake, details, and what it costs.
import { statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AGENT_SIZE_MAX, buildAgent } from '../../guest-agent/build.ts';
import { nodeTimers, socketStream } from '../../src/agent-client/socket-stream.ts';
import { Empty } from '../../src/protocol/agent.gen.ts';
import { TtrpcClient } from '../../src/protocol/client.ts';
import { method } from '../../src/protocol/service.ts';
import { TestAgent } from './harness.ts';

/** Resident memory that an idle agent may have. */
const RESIDENT_MAX = 2n * 1024n * 1024n;

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

const handshake = (protocolMajor: number) => ({
  protocolMajor,
  protocolMinor: 7,
  realtimeNs: 0n,
  entropy: new Uint8Array(32),
  sharedFilesystemTag: '',
});

describe('the service', () => {
  test('answers a handshake of its major version, whatever the minor one', async () => {
    const answer = await agent.call('Handshake', handshake(1));
    expect(answer).toMatchObject({ protocolMajor: 1, agentVersion: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
  });

  test('refuses a handshake of another major version and says what to do', async () => {
    await expect(agent.call('Handshake', handshake(2))).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('build both from one version'),
    });
  });

  test('answers a method it does not know with UNIMPLEMENTED', async () => {
    const service = { name: 'tskata.agent.v1.Agent', methods: { Fly: method(Empty, Empty) } };
    const client = new TtrpcClient(socketStream(await agent.connect('agent.sock')), nodeTimers);
    await expect(client.call(service, 'Fly', {})).rejects.toMatchObject({ code: 'UNIMPLEMENTED', status: 12 });
    client.close();
  });

  test('tells memory, processors and the times of its start', async () => {
    const details = await agent.call('GuestDetails', {});
    expect(details.onlineCpus).toBeGreaterThan(0);
    expect(details.memoryAvailableBytes).toBeLessThan(details.memoryTotalBytes);
    expect(details.agentReadyNs).toBeGreaterThan(details.agentEnteredNs);
  });
});

describe('its cost', () => {
  test('is less than 1.5 MB of program', async () => {
    expect(statSync(await buildAgent()).size).toBeLessThan(AGENT_SIZE_MAX);
  });

  test('is less than 2 MiB of resident memory at idle', async () => {
    const { agentResidentBytes } = await agent.call('GuestDetails', {});
    expect(agentResidentBytes).toBeLessThan(RESIDENT_MAX);
  });
});
