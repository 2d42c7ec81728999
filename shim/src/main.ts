// containerd-shim-tskata-v2: containerd-shim-runc-v2 with our runtime, and with the statistics of containers where it tells those of VMs.
import '../../guest-agent/src/globals.ts';
import { argv, encodeUtf8 } from 'tskata-sys';
import { EventLoop } from '../../guest-agent/src/event-loop.ts';
import * as abi from '../../guest-agent/src/linux/abi.gen.ts';
import { readAll, readLink, readText, writeAll } from '../../guest-agent/src/linux/file.ts';
import { exit } from '../../guest-agent/src/linux/process.ts';
import { log, logAs, STDERR } from '../../guest-agent/src/log.ts';
import { messageOf } from '../../src/lib/errors.ts';
import { VERSION } from '../../src/lib/version.ts';
import { relaySocket } from './addresses.ts';
import { parseArguments, type ShimArguments, USAGE } from './arguments.ts';
import { endLeft, remove } from './delete.ts';
import { GuestQuestions } from './guest-stats.ts';
import { completeOptions } from './options.ts';
import { relay } from './relay.ts';
import { becomeRuncShim, STDIN, STDOUT } from './runc-shim.ts';
import { standInFront, startRuncShim } from './start.ts';
import type { TaskSurroundings } from './task-conversation.ts';

const NAME = 'containerd-shim-tskata-v2';
const STATUS_FAILED = 1;
/** As Go's package flag ends a program. */
const STATUS_USAGE = 2;

const words = argv.slice(1);
/** Made in the process that is to wait for something: the relay is not the one that was called. */
let loop: EventLoop;

logAs(NAME);
try {
  act(parse());
} catch (error) {
  fail(error);
}

function parse(): ShimArguments {
  try {
    return parseArguments(words);
  } catch (error) {
    return usage(messageOf(error));
  }
}

/** Does what can be done at once, and ends; or begins what `turn` goes on with. */
function act({ flags, action }: ShimArguments): void {
  if (flags.h !== undefined || flags.help !== undefined) say(USAGE);
  if (flags.v !== undefined) say(`${NAME}:\n  Version:  ${VERSION}\n\n`);
  if (flags.info !== undefined) becomeRuncShim(words, completeOptions(readAll(STDIN, 'standard input'), ownRuntime()));
  if (action !== 'start' && action !== 'delete') usage('the action is missing: start or delete');
  const { namespace = '', id = '', bundle } = flags;
  if (namespace === '') throw new Error('shim namespace cannot be empty');
  if (id === '') throw new Error('the id of the container is missing: -id');
  if (action === 'delete') {
    loop = new EventLoop();
    remove(loop, words, id, bundle).then(exit, fail);
    return;
  }
  const started = startRuncShim(words);
  try {
    const places = standInFront(started);
    loop = new EventLoop();
    relay(loop, places, surroundings(loop, namespace)).then(() => exit(0), fail);
  } catch (error) {
    loop = new EventLoop();
    const left = { own: relaySocket(started.shimSocket), shim: started.shimSocket };
    endLeft(loop, left, id).then(() => fail(error), fail);
  }
}

/** The runtime beside us. */
function ownRuntime(): string {
  return `${readLink('/proc/self/exe', abi.AT_FDCWD).replace(/[^/]*$/, '')}tskata`;
}

function surroundings(loop: EventLoop, namespace: string): TaskSurroundings {
  const questions = new GuestQuestions(loop);
  return {
    program: ownRuntime(),
    readConfig: (bundle) => readText(`${bundle}/config.json`),
    guestStats: (root, id) => questions.ask(`${root}/${namespace}/${id}`, id),
  };
}

function say(text: string): never {
  writeAll(STDOUT, encodeUtf8(text), 'standard output');
  return exit(0);
}

function usage(problem: string): never {
  writeAll(STDERR, encodeUtf8(`${NAME}: ${problem}\n${USAGE}`), 'standard error');
  return exit(STATUS_USAGE);
}

function fail(error: unknown): never {
  log(messageOf(error));
  return exit(STATUS_FAILED);
}

/** One turn of the event loop; main.c calls it for ever. */
export function turn(): void {
  loop.turn();
}
