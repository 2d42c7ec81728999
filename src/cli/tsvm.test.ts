// What a person who types something wrong reads. None of it needs a KVM: it is refused before one is opened.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { sampleElf } from '../arch/x86_64/testing/sample-images.ts';
import { runTsvm } from './tsvm.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsvm-cli-'));
  writeFileSync(join(folder, 'text'), 'no kernel at all');
  writeFileSync(join(folder, 'kernel'), sampleElf());
  writeFileSync(join(folder, 'truncated'), sampleElf().subarray(0, 100));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function type(...args: string[]): Promise<{ status: number; said: string }> {
  let said = '';
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
  const status = await runTsvm(args.map((arg) => arg.replace('FOLDER', folder)));
  write.mockRestore();
  return { status, said };
}

describe('tsvm boot', () => {
  test.each([
    ['a kernel that is not there', ['--kernel', 'FOLDER/none'], /cannot read .*none: ENOENT/],
    ['a kernel that is none', ['--kernel', 'FOLDER/text'], /text: .*neither an ELF file nor a bzImage/],
    ['a truncated kernel', ['--kernel', 'FOLDER/truncated'], /truncated: /],
    ['an initrd that is not there', ['--kernel', 'FOLDER/kernel', '--initrd', 'FOLDER/none'], /cannot read .*none/],
  ])('refuses %s', async (_what, args, message) => {
    const { status, said } = await type('boot', ...args);

    expect(said).toMatch(message);
    expect(status).toBe(1);
  });
});

describe('a command line that does not parse', () => {
  test.each([
    ['an unknown verb', ['frob'], /unknown command 'frob'/],
    ['an unknown flag', ['check', '--frob'], /unknown option '--frob'/],
    ['a missing kernel', ['boot'], /kernel is missing; allowed is the path of/],
    [
      'a memory size without sense',
      ['boot', '--kernel', 'FOLDER/kernel', '--memory', '12K'],
      /a size such as 128M or 2G/,
    ],
    ['too little memory', ['boot', '--kernel', 'FOLDER/kernel', '--memory', '31M'], /from 32 to/],
    [
      'too many CPUs',
      ['boot', '--kernel', 'FOLDER/kernel', '--cpus', '33'],
      /cpus is 33; allowed is a whole number from 1 to 32/,
    ],
    [
      'an option of a disk that is unknown',
      ['boot', '--kernel', 'FOLDER/kernel', '--disk', 'x,qcow'],
      /"qcow"; allowed is path, /,
    ],
    ['a share without a folder', ['boot', '--kernel', 'FOLDER/kernel', '--share', 'data'], /TAG=DIRECTORY/],
    ["the host's own vsock address", ['boot', '--kernel', 'FOLDER/kernel', '--vsock', '2=/v'], /from 3 to 4294967294/],
    ['a timeout that is no number', ['boot', '--kernel', 'k', '--timeout', 'x'], /must be a number above 0/],
  ])('%s ends with status 2 and says where to look', async (_what, args, message) => {
    const { status, said } = await type(...args);

    expect(said).toMatch(message);
    expect(said).toContain('--help');
    expect(status).toBe(2);
  });
});
