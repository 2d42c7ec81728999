// The sandbox process: started by `tskata create`, never by hand.
import { startKvmVm } from '../runtime/kvm-vm.ts';
import { runSandboxProcess } from '../runtime/sandbox-process.ts';

// Everything that must be released has been; what a caller left connected must not keep the process.
void runSandboxProcess(process.argv.slice(2), startKvmVm).then((status) => process.exit(status));
