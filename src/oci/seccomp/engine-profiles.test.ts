// The filters of docker, podman and containerd, beside the programs that runc (with libseccomp) made of them:
// test/conformance/profiles/capture.ts took both down.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as abi from './abi.gen.ts';
import { compileSeccomp } from './compile.ts';
import type { LinuxSeccomp } from './names.ts';
import { SYSCALLS } from './syscalls.gen.ts';
import { type Call, runFilter } from './testing/interpreter.ts';

const PROFILES = join(import.meta.dirname, '../../../test/conformance/profiles');
const { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, __X32_SYSCALL_BIT } = abi;
const TABLES = [
  { table: SYSCALLS.x86_64, arch: AUDIT_ARCH_X86_64, bit: 0 },
  { table: SYSCALLS.x32, arch: AUDIT_ARCH_X86_64, bit: __X32_SYSCALL_BIT },
  { table: SYSCALLS.i386, arch: AUDIT_ARCH_I386, bit: 0 },
];
/** Beyond the newest call of any architecture. */
const NUMBERS = Array.from({ length: 620 }, (_, number) => number);
/** What the profiles compare with, values beside that, and the same in the upper half. */
const VALUES = [
  ...[0n, 1n, 8n, 9n, 16n, 40n, 0x2_0000n, 0x2_0008n, 0x1000_0000n, 0x7e02_0000n],
  ...[2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 9n, 2n ** 64n - 1n],
];
const ARGUMENTS = VALUES.flatMap((first) => VALUES.map((third) => [first, 0n, third]));

function profileOf(engine: string): LinuxSeccomp {
  const { linux } = JSON.parse(readFileSync(join(PROFILES, `${engine}.json`), 'utf8')) as {
    linux: { seccomp: LinuxSeccomp };
  };
  return linux.seccomp;
}

/** Reads the lines of `capture.ts`: code, jt, jf and k of an instruction. */
function programOfRunc(engine: string): Uint8Array {
  const lines = readFileSync(join(PROFILES, `${engine}.filter`), 'utf8')
    .trimEnd()
    .split('\n');
  const { sizeof, code, jt, jf, k } = abi.sock_filter;
  const view = new DataView(new ArrayBuffer(lines.length * sizeof));
  for (const [index, line] of lines.entries()) {
    const [codeValue = 0, jtValue = 0, jfValue = 0, kValue = 0] = line.split(' ').map(Number);
    view.setUint16(index * sizeof + code, codeValue, true);
    view.setUint8(index * sizeof + jt, jtValue);
    view.setUint8(index * sizeof + jf, jfValue);
    view.setUint32(index * sizeof + k, kValue, true);
  }
  return new Uint8Array(view.buffer);
}

/** All calls without arguments, and those for which the profile looks at arguments with many. */
function callsFor({ syscalls }: LinuxSeccomp): Call[] {
  const compared = new Set((syscalls ?? []).filter(({ args }) => args !== undefined).flatMap(({ names }) => names));
  return TABLES.flatMap(({ table, arch, bit }) => {
    const numbers = Object.entries(table).filter(([name]) => compared.has(name));
    return [
      ...NUMBERS.map((number) => ({ arch, nr: bit + number })),
      ...numbers.flatMap(([, number]) => ARGUMENTS.map((args) => ({ arch, nr: bit + number, args }))),
    ];
  });
}

test.each(['docker', 'podman', 'containerd'])(
  'the filter of %s says of every call what it says with runc',
  (engine) => {
    const profile = profileOf(engine);
    const programs = [compileSeccomp(profile).program, programOfRunc(engine)];

    const answers = callsFor(profile).map((call) => {
      const [ours, reference] = programs.map((program) => runFilter(program, call).value);
      return { ...call, ours, reference };
    });

    expect(answers.length).toBeGreaterThan(2000);
    expect(answers.filter(({ ours, reference }) => ours !== reference)).toEqual([]);
  },
);
