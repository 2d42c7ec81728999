// The protocol against random peers, on both engines that speak it, and then against the agent itself.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildEngineProgram } from '../../guest-agent/build.ts';
import { agentService } from '../../src/protocol/agent-service.ts';
import { answerTo, type PeerCase } from '../../src/protocol/testing/peer-case.ts';
import { closing, TestAgent } from './harness.ts';
import { peerCases } from './peer-cases.ts';

/** Cases, and how many of them make up a run: more with TSKATA_FUZZ_CASES, for as long as wanted. */
const CASES = Number(process.env['TSKATA_FUZZ_CASES'] ?? 3000);
/** Given with a failure; the same cases again with TSKATA_FUZZ_SEED. */
const SEED = Number(process.env['TSKATA_FUZZ_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));

const hex = (pieces: PeerCase): string => JSON.stringify(pieces.map((piece) => Buffer.from(piece).toString('hex')));

/** Cases that the program gets at once: all of them are in its memory, of which it has as little as the agent. */
const BATCH = 1000;

/** What the program on the agent's engine answers to each case. */
async function answersOnQuickjs(cases: readonly PeerCase[]): Promise<string[]> {
  const answers: string[] = [];
  for (let begin = 0; begin < cases.length; begin += BATCH) {
    answers.push(...(await answersToBatch(cases.slice(begin, begin + BATCH))));
  }
  return answers;
}

async function answersToBatch(cases: readonly PeerCase[]): Promise<string[]> {
  const program = await buildEngineProgram(
    'answer-cases',
    'guest-agent/src/testing/answer-cases.ts',
    'guest/answer-cases',
  );
  const folder = mkdtempSync(join(tmpdir(), 'tskata-fuzz-'));
  try {
    const file = join(folder, 'cases');
    writeFileSync(file, cases.map((pieces) => `${hex(pieces)}\n`).join(''));
    const { stdout } = await promisify(execFile)(program, [file], { maxBuffer: 2 ** 30 });
    return stdout.trimEnd().split('\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe(`the protocol (seed ${SEED})`, () => {
  const cases = fc.sample(peerCases(), { seed: SEED, numRuns: CASES });

  test('answers every peer, or ends its connection for broken framing', async () => {
    const endings = new Set<string>();
    for (const pieces of cases) {
      const [, ending = ''] = (await answerTo(pieces)).split(/ (.*)/);
      expect(ending, hex(pieces)).not.toMatch(/^UNEXPECTED/);
      endings.add(ending);
    }
    expect([...endings].sort()).toEqual(['FRAME_TOO_LONG', 'FRAME_TRUNCATED', 'FRAME_UNEXPECTED', 'ended']);
  });

  test('answers the same on both engines, byte for byte', async () => {
    const onQuickjs = await answersOnQuickjs(cases);
    expect(onQuickjs).toHaveLength(cases.length);
    for (const [index, pieces] of cases.entries()) {
      expect(onQuickjs[index], hex(pieces)).toBe(await answerTo(pieces));
    }
  });
});

describe(`the agent (seed ${SEED})`, () => {
  /** What random requests may do to this machine's clock and network, or to the agent's life, is not the question here. */
  const spared = ['Shutdown', 'SetTime', 'ConfigureNetwork', 'OnlineResources', 'MountFilesystem', 'UnmountFilesystem'];
  const methods = Object.keys(agentService.methods).filter((name) => !spared.includes(name));

  test('stands random peers, and is what it was after them', async () => {
    await using agent = await TestAgent.start();
    const pid = Number(readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8'));
    const descriptors = async (): Promise<string> => {
      await agent.call('GuestDetails', {});
      return (await promisify(execFile)('ls', [`/proc/${pid}/fd`])).stdout;
    };
    const before = await descriptors();
    for (const pieces of fc.sample(peerCases(methods), { seed: SEED, numRuns: CASES / 10 })) {
      const socket = await agent.connect('agent.sock');
      const closed = closing(socket);
      for (const piece of pieces) socket.write(piece);
      socket.end();
      await closed;
    }
    await expect.poll(descriptors).toBe(before);
    expect(agent.log).not.toContain('nobody handled this error');
    expect(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')).toBe('');
  });
});
