// The generated codecs say what vmm.proto says.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GENERATED_FILE, generate } from './generate.ts';
import { VirtualMachineService } from './vmm.gen.ts';

const read = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8');

/** `npm test` installs it; without it the other tests are still worth running. */
const hasCompiler = spawnSync('protoc', ['--version']).status === 0;

test.skipIf(!hasCompiler)('vmm.gen.ts is what vmm.proto generates (needs protoc)', async () => {
  expect(await generate()).toBe(read(GENERATED_FILE));
});

test('the table has the methods of the service', () => {
  const methods = [...read('vmm.proto').matchAll(/^\s*rpc (\w+)\(/gm)].map(
    ([, name]) => `/tskata.vmm.v1.VirtualMachine/${name}`,
  );

  expect(Object.values(VirtualMachineService).map(({ path }) => path)).toEqual(methods);
});

test('every message, field and call of vmm.proto is documented, or is the whole of an empty message', () => {
  const lines = read('vmm.proto').split('\n');
  const undocumented = lines.filter((line, index) => {
    const isDeclaration = /^(message|enum|service) \w+ \{$|^\s+rpc /.test(line);
    return (
      isDeclaration && !lines[index - 1]?.trim().startsWith('//') && !/^message \w+(Request|Response) \{$/.test(line)
    );
  });

  expect(undocumented).toEqual([]);
});
