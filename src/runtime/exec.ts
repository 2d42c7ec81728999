// `exec`: one more process in a container that is there.
import type { Process } from '../oci/config.ts';
import { hasInit } from '../oci/status.ts';
import { currentStatus } from './container-state.ts';
import { SandboxCgroup } from './host-cgroup.ts';
import { checkInstallation, type Installation } from './installation.ts';
import { type Launched, launchProxy } from './launch.ts';
import { endProcess } from './process-identity.ts';
import {
  checkStartOptions,
  failedToStart,
  newToken,
  proxyOptions,
  type StartOptions,
  whenBothAre,
  writePidFile,
} from './process-start.ts';
import { RuntimeError } from './runtime-error.ts';
import { callSandbox } from './sandbox-client.ts';
import type { StateStore } from './state-store.ts';

export interface ExecOptions extends StartOptions {
  readonly id: string;
  /** What to run: checked. */
  readonly process: Process;
  /** Whether to make the process in a paused container too, where it runs once that is resumed. */
  readonly ignorePaused: boolean;
}

/** Longer than each of the deadlines that the sandbox itself has for the steps. */
const EXEC_MS = 120_000;

/**
 * Runs a process in a container. Takes no lock: a process that hangs must not keep others from the container.
 * @returns the proxy that stands for it, a child of ours
 * @throws RuntimeError, StatusError
 */
export async function execInContainer(
  store: StateStore,
  installation: Installation,
  options: ExecOptions,
): Promise<Launched> {
  const { id, process, ignorePaused } = options;
  const record = store.read(id);
  const status = currentStatus(record);
  if (!hasInit(status)) {
    throw new RuntimeError('WRONG_STATUS', `cannot exec in a ${status} container`, { id, status });
  }
  if (status === 'paused' && !ignorePaused) {
    throw new RuntimeError('WRONG_STATUS', 'cannot exec in a paused container (use --ignore-paused to override)', {
      id,
    });
  }
  checkStartOptions(options, process);
  checkInstallation(installation);
  const token = newToken();
  await using undo = new AsyncDisposableStack();

  const directory = store.directory(id);
  const call = {
    containerId: id,
    ociProcessJson: JSON.stringify(process),
    stdioToken: token,
    terminal: process.terminal === true,
    ignorePaused,
  };
  const made = callSandbox(directory, 'ExecProcess', call, EXEC_MS).catch(failedToStart(id));
  const request = proxyOptions(options, process, token, { pid: record.init?.pid ?? 0 });
  const placed = launchProxy(installation, directory, request, (identity) => {
    // With its proxy the process in the guest ends as well.
    undo.defer(async () => void (await endProcess(identity)));
    SandboxCgroup.read(directory)?.admit(identity.pid);
  });
  const ready = placed.then(async (proxy) => {
    await proxy.ready;
    return proxy;
  });
  const proxy = await whenBothAre(ready, made);
  if (options.pidFile !== undefined) writePidFile(options.pidFile, proxy.identity.pid);
  undo.move();
  return proxy;
}
