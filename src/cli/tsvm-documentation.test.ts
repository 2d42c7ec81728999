// The pages that tell of `tsvm`: each command line that a reader can paste is one that it takes, and no flag is left out.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { checkVmConfig, type VmConfig } from '../vmm/config.ts';
import { VmConfigError } from '../vmm/config-error.ts';
import { balloon } from '../vmm/devices/balloon.ts';
import { virtioConsole } from '../vmm/devices/console.ts';
import { disk } from '../vmm/devices/disk.ts';
import { net } from '../vmm/devices/net.ts';
import { share } from '../vmm/devices/share.ts';
import { vsock } from '../vmm/devices/vsock.ts';
import { SHUTDOWN_METHODS } from '../vmm/operations.ts';
import type { RestoreOptions } from '../vmm/restore.ts';
import { runTsvm } from './tsvm.ts';

/** What is said instead of making a VM whose description was found good. */
const GOOD = 'described well';
const done = vi.hoisted(() => async () => 0);

vi.mock('../vmm/builder.ts', () => ({
  buildVm: async (config: VmConfig) => {
    checkVmConfig(config);
    throw new Error(GOOD);
  },
}));
vi.mock('../vmm/restore.ts', () => ({
  restoreVm: async (_directory: string, { devices }: RestoreOptions) => {
    checkVmConfig({ kernelPath: '', memoryMib: 128, cpus: 1, ...devices });
    throw new Error(GOOD);
  },
}));
vi.mock('./tsvm-check.ts', () => ({ check: done }));
vi.mock('./tsvm-ctl-console.ts', () => ({ attach: done }));
vi.mock('./tsvm-ctl.ts', () => {
  const verbs = [
    'state',
    'pause',
    'resume',
    'shutdown',
    'kill',
    'snapshot',
    'metrics',
    'events',
    'balloon',
    'resize',
    'link',
  ];
  return Object.fromEntries(verbs.map((verb) => [verb, done]));
});

const PAGES = ['README.md', 'docs/tsvm.md', 'docs/tsvm-api.md'];
const pageText = (name: string): string => readFileSync(join(import.meta.dirname, '../..', name), 'utf8');

interface Example {
  readonly page: string;
  readonly args: readonly string[];
}

/** The words of a line of shell, command by command; quotes are taken off, nothing is expanded. */
function commandsOf(line: string): string[][] {
  const commands: string[][] = [[]];
  for (const [, comment, quoted, word, separator] of line.matchAll(
    /(?<=^|\s)(#.*)|((?:[^\s"'|&;(){}<>]*(?:"[^"]*"|'[^']*'))+[^\s"'|&;(){}<>]*)|([^\s"'|&;(){}<>]+)|([|&;(){}<>])/g,
  )) {
    if (comment !== undefined) continue;
    if (separator !== undefined) commands.push([]);
    else commands.at(-1)?.push(word ?? quoted?.replaceAll(/["']/g, '') ?? '');
  }
  return commands;
}

/** Command lines of `tsvm` in what a page shows as shell, and the files that it writes there. */
function readPage(page: string): { readonly examples: Example[]; readonly files: ReadonlyMap<string, string> } {
  const examples: Example[] = [];
  const files = new Map<string, string>();
  for (const [, block = ''] of pageText(page).matchAll(/^```(?:sh[^\n]*)?\n(.*?)^```$/gms)) {
    const shell = block.replaceAll(/^([^\n]*)<<'?END'?\n(.*?)^END$/gms, (_all, command: string, text: string) => {
      const name = /^cat > (\S+)/.exec(command)?.[1];
      if (name !== undefined) files.set(name, text);
      return '';
    });
    for (const command of shell
      .replaceAll('\\\n', ' ')
      .replaceAll(/ \d(?=>)/g, ' ')
      .split('\n')
      .flatMap(commandsOf)) {
      const at = command.findIndex((word) => word === 'tsvm' || word.endsWith('/tsvm'));
      if (at >= 0) examples.push({ page, args: command.slice(at + 1) });
    }
  }
  return { examples, files };
}

const pages = PAGES.map(readPage);
const files = new Map(pages.flatMap((page) => [...page.files]));
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsvm-documentation-'));
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** @returns what is said of a command line: '' for nothing, or GOOD */
async function verdictOn(args: readonly string[]): Promise<string> {
  let said = '';
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
  await runTsvm(args.map((arg) => (files.has(arg) ? join(folder, arg) : arg)));
  write.mockRestore();
  return said.replace(/^tsvm: /, '').trimEnd();
}

/** What `tsvm VERB --help` prints. */
async function help(verb: string): Promise<string> {
  let printed = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  await runTsvm([verb, '--help']);
  write.mockRestore();
  return printed;
}

describe('an example', () => {
  const examples = pages
    .flatMap((page) => page.examples)
    .map(({ page, args }) => [page, args.join(' '), args] as const);

  test('is found where there are some', () => {
    expect(examples.length).toBeGreaterThan(50);
    expect([...files.keys()]).toEqual(expect.arrayContaining(['vm.toml', 'machine.toml', 'machine.json']));
  });

  test.each(examples)('of %s is taken: tsvm %s', async (_page, _line, args) => {
    expect(['', GOOD]).toContain(await verdictOn(args));
  });

  test.each([
    ['an unknown flag', ['boot', '--frob'], "unknown option '--frob'"],
    ['an unknown option of a device', ['restore', 'folder', '--disk', 'a,frob'], 'disk option is "frob"'],
    ['a device that cannot be', ['boot', '--kernel', 'k', '--net', 'none,vhost=on'], 'vhost-net needs a tap'],
    ['an unknown word', ['ctl', '--api-socket', 's', 'link', 'net:none', 'sideways'], 'sideways'],
  ])('with %s would be found', async (_what, args, message) => {
    expect(await verdictOn(args)).toContain(message);
  });
});

describe('docs/tsvm.md', () => {
  const text = pageText('docs/tsvm.md');
  /** The part below a heading. */
  const section = (heading: string): string => text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';

  test.each(['boot', 'restore', 'snapshot'])('has every flag of tsvm %s', async (verb) => {
    const flags = [...(await help(verb)).matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag = '']) => flag);

    expect(flags.length).toBeGreaterThan(2);
    expect(flags.filter((flag) => flag !== '--help' && !new RegExp(`${flag}(?![\\w-])`).test(text))).toEqual([]);
  });

  test.each([
    ['Disks', disk],
    ['Networks', net],
    ['Shared folders', share],
    ['Balloon', balloon],
    ['Consoles', virtioConsole],
  ])('has every option in %s', (heading, { read }) => {
    let allowed = '';
    try {
      read({ '': true });
    } catch (error) {
      if (error instanceof VmConfigError) allowed = String(error.details['allowed']);
    }
    const options = allowed.split(', ');

    expect(options[0]).toMatch(/^\w+$/);
    expect(options.filter((option) => !new RegExp(`[\`, ]${option}[\`=]`).test(section(heading)))).toEqual([]);
  });

  test('has every verb of tsvm ctl, and every way to end a guest', async () => {
    const verbs = [...(await help('ctl')).matchAll(/^ {2}(\w+) .*\S/gm)].map(([, verb = '']) => verb);

    expect(verbs).toContain('console');
    expect(verbs.filter((verb) => verb !== 'help' && !new RegExp(`\`${verb}[\` ]`).test(text))).toEqual([]);
    expect(text).toContain(`--method ${SHUTDOWN_METHODS.join('\\|')}]`);
  });

  test('has the options of vsock', () => {
    for (const source of ['3=v.sock', '33,vhost=on']) {
      expect(() => vsock.check(vsock.read(source))).not.toThrow();
      expect(section('Sockets (vsock)')).toContain(`--vsock ${source}`);
    }
  });
});
