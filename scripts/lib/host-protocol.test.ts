import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as protocol from './host-protocol.ts';
import { encodeFrame, encodeNumbers, encodeRun, FrameDecoder } from './host-protocol.ts';
import { projectDirectory } from './paths.ts';

const RUN = { command: ['echo', ''], folder: '/', environment: { A: 'b c' } };

describe('the protocol of the emulated host', () => {
  test('has the same numbers on both ends', () => {
    const source = readFileSync(join(projectDirectory, 'images/host/supervisor.c'), 'utf8');
    const inC = [...source.matchAll(/^#define (FRAME_\w+|INPUT_CREDIT|MAX_PAYLOAD) (\d+)/gm)];
    const inTypeScript = Object.entries(protocol).filter(([, value]) => typeof value === 'number');
    expect(Object.fromEntries(inC.map((match) => [match[1], Number(match[2])]))).toEqual(
      Object.fromEntries(inTypeScript),
    );
  });

  test('puts a command into strings that end with NUL', () => {
    expect(encodeRun(RUN).subarray(8).toString()).toBe('pipes\0/\x001\0A=b c\0echo\0\0');
  });

  test('asks for a terminal by its size', () => {
    const frame = encodeRun({ ...RUN, terminal: { rows: 24, columns: 80 } });
    expect(frame.subarray(8, 14).toString()).toBe('24x80\0');
  });

  test('refuses what execve could not take', () => {
    expect(() => encodeRun({ ...RUN, command: ['a\0b'] })).toThrow(RangeError);
    expect(() => encodeRun({ ...RUN, command: [] })).toThrow(RangeError);
    expect(() => encodeRun({ ...RUN, command: ['x'.repeat(protocol.MAX_PAYLOAD)] })).toThrow(RangeError);
  });

  test('gives what the supervisor tells', () => {
    const bytes = Buffer.concat([
      encodeFrame(protocol.FRAME_READY),
      encodeFrame(protocol.FRAME_STDOUT, Buffer.from('out')),
      encodeFrame(protocol.FRAME_STDERR, Buffer.from('err')),
      encodeNumbers(protocol.FRAME_CREDIT, 5),
      encodeNumbers(protocol.FRAME_EXIT, 137),
    ]);
    expect(new FrameDecoder().push(bytes)).toEqual([
      { type: 'ready' },
      { type: 'stdout', data: Buffer.from('out') },
      { type: 'stderr', data: Buffer.from('err') },
      { type: 'credit', bytes: 5 },
      { type: 'exit', status: 137 },
    ]);
  });

  test('refuses a frame of a type it does not know', () => {
    expect(() => new FrameDecoder().push(encodeFrame(99))).toThrow(/unknown type 99/);
  });
});
