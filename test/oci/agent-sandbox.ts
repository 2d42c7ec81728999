// The sandbox process, with the guest's agent on this machine's kernel in the place of a virtual machine.
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

enableCompileCache(join(import.meta.dirname, '../../build/test/compile-cache'));
const { runSandboxProcess } = await import('../../src/runtime/sandbox-process.ts');
const { startAgentVm } = await import('./agent-vm.ts');

process.exit(await runSandboxProcess(process.argv.slice(2), startAgentVm));
