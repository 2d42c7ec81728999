// A program on the agent's engine that runs the cases of a file (a line of JSON each: pieces in hexadecimal digits) and prints
// the answer to each as a line.
import '../globals.ts';
import { argv, encodeUtf8 } from 'tskata-sys';
import { answerTo } from '../../../src/protocol/testing/peer-case.ts';
import { readText, writeAll } from '../linux/file.ts';
import { exit } from '../linux/process.ts';

const STDOUT = 1;

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) =>
    Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16),
  );
}

async function answerAll(): Promise<never> {
  const lines = readText(argv[1] ?? '').split('\n');
  for (const line of lines) {
    if (line === '') continue;
    const pieces = (JSON.parse(line) as string[]).map(bytesOf);
    writeAll(STDOUT, encodeUtf8(`${await answerTo(pieces)}\n`), 'standard output');
  }
  exit(0);
}

void answerAll().catch((error: unknown) => {
  writeAll(STDOUT, encodeUtf8(`${String(error)}\n`), 'standard output');
  exit(1);
});

/** All is done by promises, which main.c runs; one that waited for anything else would wait for ever. */
export function turn(): void {}
