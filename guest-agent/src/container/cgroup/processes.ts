// ListProcesses. A process chooses its name and its command line; it may end while it is looked at.
import { decodeUtf8 } from 'tskata-sys';
import type { ListProcessesResponse_Process } from '../../../../src/protocol/agent.gen.ts';
import * as abi from '../../linux/abi.gen.ts';
import { isErrno, SystemError } from '../../linux/call.ts';
import { open, readText, tryRead, withFd } from '../../linux/file.ts';
import { fieldOf, namespacePids, parseCommandLine, parseStat } from './process-text.ts';

/** Processes that are told of: as many as there are pids, unless somebody has raised that (/proc/sys/kernel/pid_max). */
const PROCESSES_MAX = 32_768;
/** Bytes of a command line that are told of, and of all together: the answer has to fit into a frame. */
const COMMAND_LINE_BYTES_MAX = 4096;
const COMMAND_LINES_BYTES_MAX = 1 << 19;

/** @param initPid the container's init process, in whose pid namespace the others have their own pids */
export function describeProcesses(pids: readonly number[], initPid: number): ListProcessesResponse_Process[] {
  const level = namespacePids(statusOf(initPid)).length - 1;
  const told = pids.slice(0, PROCESSES_MAX);
  const bytes = Math.min(COMMAND_LINE_BYTES_MAX, Math.floor(COMMAND_LINES_BYTES_MAX / Math.max(1, told.length)));
  return told.flatMap((pid) => describeProcess(pid, level, bytes));
}

/** @returns nothing when the process has ended */
function describeProcess(pid: number, level: number, commandLineBytes: number): ListProcessesResponse_Process[] {
  try {
    const { state, parentPid, cpuTimeUs, startTimeUs, residentBytes } = parseStat(readText(`/proc/${pid}/stat`));
    const status = statusOf(pid);
    const commandLine = parseCommandLine(readStart(`/proc/${pid}/cmdline`, commandLineBytes));
    const containerPid = namespacePids(status)[Math.max(0, level)] ?? 0;
    const uid = Number(fieldOf(status, 'Uid').split('\t')[0]);
    return [{ pid, parentPid, containerPid, uid, state, commandLine, cpuTimeUs, residentBytes, startTimeUs }];
  } catch (error) {
    if (isErrno(error, abi.ENOENT, abi.ESRCH)) return [];
    throw error;
  }
}

function statusOf(pid: number): string {
  return readText(`/proc/${pid}/status`);
}

/** The beginning of a file. */
function readStart(path: string, length: number): string {
  const bytes = new Uint8Array(length);
  const count = withFd(open(path, abi.O_RDONLY), (fd) => tryRead(fd, bytes));
  if (count < 0) throw new SystemError('read', path, -count);
  return decodeUtf8(bytes.subarray(0, count));
}
