// containerd-shim-runc-v2, containerd's own program, which does all the work but for what the relay answers.
import { encodeUtf8 } from 'tskata-sys';
import * as abi from '../../guest-agent/src/linux/abi.gen.ts';
import { isErrno } from '../../guest-agent/src/linux/call.ts';
import { close, memoryFile, readAll, readText, requireExecutable, tryWrite } from '../../guest-agent/src/linux/file.ts';
import { duplicateTo, type Ending, execute, exit, fork, waitForChild } from '../../guest-agent/src/linux/process.ts';
import { pipe } from '../../guest-agent/src/linux/socket.ts';
import { STDERR } from '../../guest-agent/src/log.ts';
import { messageOf } from '../../src/lib/errors.ts';

const NAME = 'containerd-shim-runc-v2';
/** Where it is looked for when the environment says nothing. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
export const STDIN = 0;
/** Where containerd reads what it asked for. */
export const STDOUT = 1;
/** What shells answer for a program that could not be run. */
const STATUS_NOT_EXECUTED = 126;

function environment(): string[] {
  return readText('/proc/self/environ')
    .split('\0')
    .filter((entry) => entry !== '');
}

/** @throws Error that says where it was looked for */
function find(env: readonly string[]): string {
  const path = env.find((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) || DEFAULT_PATH;
  const found = path
    .split(':')
    .map((folder) => `${folder}/${NAME}`)
    .find((candidate) => candidate.startsWith('/') && isExecutable(candidate));
  if (found === undefined) throw new Error(`${NAME}, a part of containerd, is not in PATH (${path}): install it`);
  return found;
}

function isExecutable(path: string): boolean {
  try {
    requireExecutable(path);
    return true;
  } catch (error) {
    if (isErrno(error, abi.ENOENT, abi.EACCES, abi.ENOTDIR, abi.ELOOP)) return false;
    throw error;
  }
}

/**
 * Becomes it.
 * @param words of the command line behind the program's name
 * @param input what its standard input is to have
 * @throws Error when it cannot be run
 */
export function becomeRuncShim(words: readonly string[], input: Uint8Array): never {
  const env = environment();
  const program = find(env);
  duplicateTo(memoryFile('options', input), STDIN);
  return execute(program, [program, ...words], env);
}

/** Runs it to its end, with our standard input and error. @throws Error when there is none */
export function runRuncShim(words: readonly string[]): { readonly ending: Ending; readonly output: Uint8Array } {
  const env = environment();
  const program = find(env);
  const [readEnd, writeEnd] = pipe();
  const pid = fork(0);
  if (pid === 0) {
    try {
      duplicateTo(writeEnd, STDOUT);
      execute(program, [program, ...words], env);
    } catch (error) {
      tryWrite(STDERR, encodeUtf8(`${messageOf(error)}\n`));
    }
    exit(STATUS_NOT_EXECUTED);
  }
  close(writeEnd);
  const output = readAll(readEnd, NAME);
  close(readEnd);
  return { ending: waitForChild(pid), output };
}

/** Its status, as a shell would have it. */
export function statusOfEnding({ exitStatus, signal }: Ending): number {
  return signal === 0 ? exitStatus : 128 + signal;
}
