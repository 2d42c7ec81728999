import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { InputFeed } from './host-input.ts';
import { encodeFrame, FRAME_INPUT, FRAME_INPUT_END, INPUT_CREDIT } from './host-protocol.ts';

const END = encodeFrame(FRAME_INPUT_END);

function start(stdin: PassThrough | undefined): { feed: InputFeed; frames: Buffer[] } {
  const frames: Buffer[] = [];
  return { feed: new InputFeed(stdin, (frame) => frames.push(frame)), frames };
}

describe('the input of a command', () => {
  test('ends at once when there is none', () => {
    expect(start(undefined).frames).toEqual([END]);
  });

  test('is passed on, and then its end', async () => {
    const stdin = new PassThrough();
    const { frames } = start(stdin);
    stdin.end('abc');
    await turn();
    expect(frames).toEqual([encodeFrame(FRAME_INPUT, Buffer.from('abc')), END]);
  });

  test('waits for credit', async () => {
    const stdin = new PassThrough();
    const { feed, frames } = start(stdin);
    stdin.end(Buffer.alloc(INPUT_CREDIT + 10));
    await turn();
    expect(frames).toEqual([encodeFrame(FRAME_INPUT, Buffer.alloc(INPUT_CREDIT))]);
    feed.addCredit(4);
    feed.addCredit(6);
    await turn();
    const rest = [encodeFrame(FRAME_INPUT, Buffer.alloc(4)), encodeFrame(FRAME_INPUT, Buffer.alloc(6)), END];
    expect(frames.slice(1)).toEqual(rest);
  });

  test('stays in the stream once it is no longer wanted', async () => {
    const stdin = new PassThrough();
    const { feed, frames } = start(stdin);
    feed.stop();
    stdin.write('later');
    await turn();
    expect(frames).toEqual([]);
    expect(stdin.read()?.toString()).toBe('later');
  });
});
