// The numbers of the kernel's ABI as TypeScript, printed by C programs that include the kernel's own headers.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

/** The generated files, each with the C program that prints it. */
export const ABI_FILES = [
  { program: 'kvm.c', target: 'src/hypervisor/kvm/abi.gen.ts' },
  { program: 'virtio.c', target: 'src/devices/virtio/abi.gen.ts' },
  { program: 'linux.c', target: 'src/ffi/abi.gen.ts' },
  { program: 'native.c', target: 'src/ffi/native.gen.ts' },
  { program: 'bpf.c', target: 'src/ffi/bpf-abi.gen.ts' },
  { program: 'netlink.c', target: 'src/netlink/abi.gen.ts' },
  { program: 'seccomp.c', target: 'src/oci/seccomp/abi.gen.ts' },
] as const;

/** Compiles one of the programs with the headers of this machine and gives what it prints: the whole generated file. */
export async function generateAbi(program: string): Promise<string> {
  const scratch = mkdtempSync(join(tmpdir(), 'tskata-abi-'));
  try {
    const binary = join(scratch, 'abi');
    await run('gcc', ['-Wall', '-Wextra', '-Werror', '-o', binary, join(import.meta.dirname, program)]);
    return `// Printed by native/abi/${program}; do not edit. \`node native/abi/generate.ts\` writes it again.\n${await run(binary, [])}`;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  for (const { program, target } of ABI_FILES)
    writeFileSync(join(projectDirectory, target), await generateAbi(program));
}
