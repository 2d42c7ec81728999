// `tskata run`: create and start in one, and with a container in the foreground its whole life.
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { type CreateOptions, createContainer } from '../runtime/create.ts';
import { letGo } from '../runtime/launch.ts';
import { deleteContainer, failedVerb, startContainer } from '../runtime/operations.ts';
import { isAlive, type ProcessIdentity, waitForEnd } from '../runtime/process-identity.ts';
import { REPORT_FILE, StateStore } from '../runtime/state-store.ts';
import type { StartReport } from '../vmm/timeline.ts';
import { exitStatus, forwardSignals } from './foreground.ts';
import type { GlobalOptions } from './tskata.ts';
import { commandStartNs, type RunFlags } from './tskata-create.ts';

/** The sandbox writes its report when it ends, and ends by itself soon after its container. */
const SANDBOX_END_MS = 10_000;
/** What the proxy ends with when the sandbox is gone before its program: STATUS_LOST of native/proxy/proxy.h. */
const LOST_STATUS = 137;

/** @returns the exit status of the container; 0 with `--detach` */
export async function run(globals: GlobalOptions, flags: RunFlags, id: string): Promise<number> {
  return await runContainer(globals, flags, id, 'run');
}

/** @param verb for messages. @returns as `run` does */
export async function runContainer(
  globals: GlobalOptions,
  flags: RunFlags & Pick<CreateOptions, 'checkpoint'>,
  id: string,
  verb: string,
): Promise<number> {
  const store = new StateStore(globals.root);
  const detach = flags.detach === true;
  try {
    const options = {
      ...flags,
      ...globals.cgroup,
      configFile: globals.config,
      id,
      detach,
      debug: globals.log.debug,
      commandStartNs: commandStartNs(),
    };
    const { sandbox, proxy } = await createContainer(store, globals.installation, options, globals.warn);
    const ended = detach ? undefined : exitStatus(proxy.child);
    if (!detach) forwardSignals(proxy.identity);
    try {
      await startContainer(store, id, globals.warn);
    } catch (error) {
      await deleteContainer(store, id, true, globals.warn);
      throw error;
    }
    sandbox.letGo();
    letGo(proxy);
    if (ended === undefined) return 0;
    proxy.child.ref();
    const status = await ended;
    // In a VM of its own: another's goes on.
    const endsSandbox = sandbox.sandboxId === undefined;
    if (status === LOST_STATUS && (endsSandbox || !isAlive(sandbox.identity))) {
      await explainLoss(globals, join(store.directory(id), REPORT_FILE), sandbox.identity);
    }
    try {
      const isAwaited = endsSandbox && (globals.report !== undefined || flags.keep === true);
      if (isAwaited) await waitForEnd(sandbox.identity, SANDBOX_END_MS);
      if (globals.report !== undefined) copyFileSync(join(store.directory(id), REPORT_FILE), globals.report);
    } finally {
      // Its program's status is known: what cannot be cleared away does not change it.
      if (flags.keep !== true) await deleteContainer(store, id, true, globals.warn).catch(warnOf(globals));
    }
    return status;
  } catch (error) {
    throw failedVerb(verb, error);
  }
}

function warnOf({ warn }: GlobalOptions): (error: unknown) => Promise<void> {
  return (error) => warn(messageOf(error));
}

/** Says why the sandbox ended, where it ended before the program did; a program that was killed has the same status. */
async function explainLoss({ warn }: GlobalOptions, reportPath: string, sandbox: ProcessIdentity): Promise<void> {
  await waitForEnd(sandbox, SANDBOX_END_MS);
  try {
    const report: StartReport = JSON.parse(readFileSync(reportPath, 'utf8'));
    if (report.marks.some(({ name }) => name === 'container-exited')) return;
    await warn(`the sandbox ended before the container's program did: ${report.endReason}`);
  } catch {
    await warn("the sandbox ended before the container's program did, and left no report");
  }
}
