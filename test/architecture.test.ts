// The rules of ARCHITECTURE.md, "Layers", on every file of the project; and on small samples, so that the check is known
// to find what it looks for.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectDirectory } from '../scripts/lib/paths.ts';
import { layerOf, type SourceFile, violations } from './architecture-rules.ts';

const FOLDERS = '{src,guest-agent,shim,scripts,images,kernel-config,native}';

function projectFiles(): SourceFile[] {
  return globSync(`${FOLDERS}/**/*.ts`, {
    cwd: projectDirectory,
    exclude: (path) => path.includes('node_modules'),
  }).map((path) => ({ path, text: readFileSync(`${projectDirectory}/${path}`, 'utf8') }));
}

/** The violations of one file with these lines. */
function check(path: string, ...lines: string[]): string[] {
  return violations([{ path, text: lines.join('\n') }]);
}

test('every file of the project keeps to the layers', () => {
  const files = projectFiles();

  expect(files.length).toBeGreaterThan(50);
  expect(violations(files)).toEqual([]);
});

test('the table of ARCHITECTURE.md is the one that is checked', () => {
  const text = readFileSync(`${projectDirectory}/ARCHITECTURE.md`, 'utf8');
  const block = /^## Layers\n[\s\S]*?```\n([\s\S]*?)```/m.exec(text)?.[1] ?? '';
  // `src/bus, src/memory   what they are for`
  const documented = block
    .trimEnd()
    .split('\n')
    .map((line) => (line.split(/\s{2,}|\s(?!src)/)[0] ?? '').split(/,\s*/));

  const rows = documented.map((folders) => new Set(folders.map((folder) => layerOf(folder)?.row)));

  expect(documented.length).toBeGreaterThan(5);
  expect(rows.every((row) => row.size === 1 && !row.has(undefined))).toBe(true);
  const order = rows.flatMap((row) => [...row].map(Number));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});

test('what ARCHITECTURE.md names is there, and so is what pages link to', () => {
  const named = [
    ...readFileSync(`${projectDirectory}/ARCHITECTURE.md`, 'utf8').matchAll(
      /\b((?:src|guest-agent|shim|native|kernel-config|images|scripts|test|docs)\/[\w./-]*\w)/g,
    ),
  ].map(([, path = '']) => path);
  const pages = globSync('{*.md,docs/**/*.md,kernel-config/*.md,images/**/*.md,native/**/*.md}', {
    cwd: projectDirectory,
  });
  const links = pages.flatMap((page) =>
    [...readFileSync(`${projectDirectory}/${page}`, 'utf8').matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link = '']) =>
      join(dirname(page), link),
    ),
  );

  expect(named.length).toBeGreaterThan(30);
  expect(links.length).toBeGreaterThan(20);
  expect([...named, ...links].filter((path) => !existsSync(join(projectDirectory, path)))).toEqual([]);
});

describe('the check', () => {
  test('names file, line, import and rule', () => {
    expect(check('src/devices/virtio/queue.ts', '// A queue.', "import { Vm } from '../../vmm/vm.ts';")).toEqual([
      "src/devices/virtio/queue.ts:2: imports '../../vmm/vm.ts': src/devices may not import src/vmm, which is a row above it",
    ]);
  });

  test.each<[string, string, string]>([
    ['a module that is slow to load', 'src/vmm/vm.ts', "import { randomBytes } from 'node:crypto';"],
    ['koffi outside of src/ffi', 'src/host/tap.ts', "import koffi from 'koffi';"],
    ['koffi by require', 'src/host/tap.ts', "const koffi = require('koffi');"],
    ['koffi in a script', 'scripts/x.ts', "import koffi from 'koffi';"],
    ['node:* in a pure folder', 'src/arch/x86_64/elf.ts', "import { readFileSync } from 'node:fs';"],
    ['node:* in src/lib', 'src/lib/log.ts', "import 'node:process';"],
    ['a package in a pure folder', 'src/oci/config.ts', "import pino from 'pino';"],
    ['src/lib/node in a pure folder', 'src/oci/config.ts', "import { x } from '../lib/node/log-file.ts';"],
    ['the layer above, as a type', 'src/hypervisor/ports.ts', "import type { x } from './kvm/vm.ts';"],
    ['the layer above, on demand', 'src/runtime/create.ts', "await import('../cli/tskata.ts');"],
    ['the layer above, passed on', 'src/bus/bus.ts', "export { x } from '../host/tap.ts';"],
    ['over several lines', 'src/bus/bus.ts', "import {\n  a,\n  b,\n} from '../host/tap.ts';"],
    ['a script in the product', 'src/vmm/vm.ts', "import { run } from '../../scripts/lib/run.ts';"],
    ['the VMM in the guest agent', 'guest-agent/src/agent.ts', "import { x } from '../../src/vmm/vm.ts';"],
    ['node:* in the guest agent', 'guest-agent/src/agent.ts', "import { x } from 'node:fs';"],
    [
      'what the agent does in a guest, in the shim',
      'shim/src/relay.ts',
      "import { x } from '../../guest-agent/src/container/manager.ts';",
    ],
    ['the runtime in the shim', 'shim/src/relay.ts', "import { x } from '../../src/runtime/events.ts';"],
    ['src/lib/node in the guest agent', 'guest-agent/src/a.ts', "import { x } from '../../src/lib/node/log-file.ts';"],
    ['a test helper in the product', 'src/bus/bus.ts', "import { x } from './testing/mock.ts';"],
    ['the product in a build', 'images/host/build.ts', "import { x } from '../../src/vmm/vm.ts';"],
  ])('finds %s', (_, path, line) => {
    expect(check(path, line)).toHaveLength(1);
  });

  test('finds unsafe files elsewhere, and folders that the table does not have', () => {
    expect(violations([{ path: 'src/vmm/memory.unsafe.ts', text: '' }])).toHaveLength(1);
    expect(violations([{ path: 'src/util/x.ts', text: '' }])).toHaveLength(1);
  });

  test('finds folders of one row that import each other, by types too', () => {
    const files = [
      { path: 'src/bus/a.ts', text: "import type { B } from '../devices/b.ts';" },
      { path: 'src/devices/c.ts', text: "import type { A } from '../bus/a.ts';" },
    ];

    expect(violations(files)).toEqual([
      "src/devices/c.ts:1: imports '../bus/a.ts': folders import each other: src/bus -> src/devices -> src/bus",
    ]);
  });

  test('finds modules that import each other, but not by types or on demand', () => {
    const cycle = (line: string): string[] =>
      violations([
        { path: 'src/vmm/a.ts', text: "import { b } from './b.ts';" },
        { path: 'src/vmm/b.ts', text: line },
      ]);

    expect(cycle("import { a } from './a.ts';")).toHaveLength(1);
    expect(cycle("import type { A } from './a.ts';")).toEqual([]);
    expect(cycle("const a = await import('./a.ts');")).toEqual([]);
  });

  test.each<[string, string]>([
    ['src/arch/x86_64/elf.ts', "import { TskataError } from '../../lib/errors.ts';"],
    ['src/vmm/snapshot-folder.ts', "import { createHash } from 'node:crypto';"],
    ['src/ffi/koffi.unsafe.ts', "import koffi from 'koffi';"],
    ['src/protocol/agent.gen.ts', "import { BinaryReader } from '@bufbuild/protobuf/wire';"],
    ['src/bus/bus.test.ts', "import { test } from 'vitest';"],
    ['src/protocol/generate.ts', "import { generateCodecs } from '../../scripts/lib/protoc.ts';"],
    ['guest-agent/src/agent.ts', "import { x } from '../../src/protocol/frame.ts';"],
    ['shim/src/relay.ts', "import { x } from '../../guest-agent/src/event-loop.ts';"],
    ['shim/src/relay.ts', "import { x } from '../../src/protocol/frame.ts';"],
    ['guest-agent/src/linux/call.ts', "import * as sys from 'tskata-sys';"],
    ['kernel-config/build.ts', "import { run } from '../scripts/lib/run.ts';"],
  ])('has nothing against %s with %s', (path, line) => {
    expect(check(path, line)).toEqual([]);
  });
});
