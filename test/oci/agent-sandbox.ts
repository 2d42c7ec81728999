// The sandbox process, with the guest's agent on this machine's kernel in the place of a virtual machine.
import { runSandboxProcess } from '../../src/runtime/sandbox-process.ts';
import { startAgentVm } from './agent-vm.ts';

void runSandboxProcess(process.argv.slice(2), startAgentVm).then((status) => process.exit(status));
