// What the emulated host boots from: a kernel, an initrd and a Debian root, built once per machine and kept in the cache.
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { cached } from '../../scripts/lib/cache.ts';
import { machineMirror } from '../../scripts/lib/debian.ts';
import { startStep } from '../../scripts/lib/progress.ts';
import { run } from '../../scripts/lib/run.ts';

/** What an emulated host can be: Debian 13, on which all guest tests run, or Debian 12, for its older container engines. */
export const HOST_RELEASES = ['trixie', 'bookworm'] as const;

export type HostRelease = (typeof HOST_RELEASES)[number];

export const DEFAULT_HOST_RELEASE: HostRelease = 'trixie';

/** Packages of Debian 13's root: what a container host has, the peers of the benchmarks, and tools for tests. */
const TRIXIE_PACKAGES = [
  'aardvark-dns',
  'busybox-static',
  'ca-certificates',
  'catatonit',
  'containerd',
  'containernetworking-plugins',
  'crun',
  'dbus',
  'docker-buildx',
  'docker-cli',
  'docker-compose',
  'docker.io',
  'e2fsprogs',
  'erofs-utils',
  'fio',
  'iperf3',
  'iproute2',
  'iptables',
  'jq',
  'kmod',
  'linux-image-cloud-amd64',
  'netavark',
  'nftables',
  'passt',
  'podman',
  'procps',
  'qemu-system-x86',
  'qemu-utils',
  'runc',
  'socat',
  'strace',
  'systemd',
  'util-linux',
  'virtiofsd',
  'xz-utils',
];

/** Packages of Debian 12's root: container engines and what they and tskata call; virtiofsd is in qemu-system-common. */
const BOOKWORM_PACKAGES = [
  'aardvark-dns',
  'busybox-static',
  'ca-certificates',
  'catatonit',
  'containerd',
  'containernetworking-plugins',
  'docker.io',
  'iproute2',
  'iptables',
  'kmod',
  'libatomic1',
  'linux-image-cloud-amd64',
  'netavark',
  'podman',
  'procps',
  'qemu-system-common',
  'runc',
  'util-linux',
];

const PACKAGES: Readonly<Record<HostRelease, readonly string[]>> = {
  trixie: TRIXIE_PACKAGES,
  bookworm: BOOKWORM_PACKAGES,
};

/** Never read by a machine: left out of the root. */
const LEFT_OUT = ['/usr/share/man/*', '/usr/share/doc/*', '/usr/share/locale/*', '/usr/share/info/*'];

/**
 * Run in the new root at the end: the kernel's modules are stored unpacked, because unpacking costs far more under
 * emulation than reading; Debian's own initrd is not used.
 */
const FINISH = [
  'find /usr/lib/modules -name "*.ko.xz" -exec xz -d {} +',
  'depmod "$(ls /usr/lib/modules)"',
  'rm -f /boot/initrd.img* /initrd.img*',
].join(' && ');

/** Modules without which the root or the outside cannot be reached. Some are built into Debian 13's kernel. */
const BOOT_MODULES = ['virtio_pci', 'virtio_console', 'virtio_blk', 'erofs', 'overlay'];

/** Paths of the files that QEMU starts the emulated host from. */
export interface HostImage {
  /** Debian's cloud kernel, unpacked (ELF) where it can be: unpacking itself would cost it a second under emulation. */
  readonly kernel: string;
  readonly initrd: string;
  /** Debian root, an erofs image. */
  readonly root: string;
}

/** Gives an emulated host's image; builds what of it is not in the cache (about two minutes for all). */
export async function buildHostImage(release: HostRelease = DEFAULT_HOST_RELEASE): Promise<HostImage> {
  const here = import.meta.dirname;
  const rootInputs = { values: [release, ...PACKAGES[release], ...LEFT_OUT, FINISH, 'layout 1'] };
  const root = await cached('host-root', rootInputs, (output) => buildRoot(release, output));
  const bootInputs = {
    files: [join(here, 'init'), join(here, 'supervisor.c')],
    values: [basename(root), ...BOOT_MODULES, 'layout 2'],
  };
  const boot = await cached('host-boot', bootInputs, async (output) => {
    writeFileSync(join(output, 'vmlinux'), unpackKernel(readFileSync(join(root, 'vmlinuz'))));
    await buildInitrd(root, output);
  });
  return { kernel: join(boot, 'vmlinux'), initrd: join(boot, 'initrd.cpio'), root: join(root, 'root.erofs') };
}

/** Builds the images of all releases that are not in the cache. */
export async function buildHostImages(): Promise<void> {
  for (const release of HOST_RELEASES) await buildHostImage(release);
}

/** Makes `root.erofs`, `vmlinuz` and `unpacked/` (what the initrd takes from the root) in `output`. */
async function buildRoot(release: HostRelease, output: string): Promise<void> {
  const archive = join(output, 'root.tar');
  using step = startStep(`building the emulated host (Debian root, ${release})`, 100);
  await run(
    'mmdebstrap',
    [
      '--variant=minbase',
      `--include=${PACKAGES[release].join(',')}`,
      ...LEFT_OUT.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
      `--customize-hook=chroot "$1" sh -c '${FINISH}'`,
      release,
      archive,
      ...sources(release),
    ],
    {
      onLine(line) {
        // "progress: [ 12%]" of mmdebstrap starts over in each phase, so its phases are counted instead.
        const phase = PHASES.findIndex((name) => line.startsWith(`I: ${name}`));
        if (phase >= 0) step.update((100 * phase) / PHASES.length, 100, PHASES[phase]);
      },
    },
  );
  step.update(90, 100, 'packing');
  await packRoot(archive, output);
  const unpacked = join(output, 'unpacked');
  mkdirSync(unpacked);
  const wanted = ['boot', 'usr/lib/modules', 'usr/bin/busybox'];
  await run('tar', ['-xf', archive, '-C', unpacked, ...wanted.map((path) => `./${path}`)]);
  rmSync(archive);
  const kernel = readdirSync(join(unpacked, 'boot')).find((name) => name.startsWith('vmlinuz-'));
  if (kernel === undefined) throw new Error('the package linux-image-cloud-amd64 brought no /boot/vmlinuz-*');
  copyFileSync(join(unpacked, 'boot', kernel), join(output, 'vmlinuz'));
  rmSync(join(unpacked, 'boot'), { recursive: true });
}

/** Lines of apt's sources.list for a release, its updates and its security updates. */
function sources(release: HostRelease): string[] {
  const mirror = machineMirror();
  const security = `${mirror.replace(/\/debian\/?$/, '')}/debian-security`;
  return [
    `deb ${mirror} ${release} main`,
    `deb ${mirror} ${release}-updates main`,
    `deb ${security} ${release}-security main`,
  ];
}

/** Makes `root.erofs` of an archive, by Debian 13's mkfs.erofs: older ones, of this machine or of the root, take no archive. */
async function packRoot(archive: string, output: string): Promise<void> {
  const tools = join(output, 'tools');
  mkdirSync(tools);
  const toolsArchive = join(output, 'tools.tar');
  await run('mmdebstrap', [
    ...['--variant=extract', '--include=erofs-utils'],
    ...['trixie', toolsArchive, ...sources('trixie')],
  ]);
  await run('tar', ['-xf', toolsArchive, '-C', tools]);
  const loader = join(tools, 'usr/lib64/ld-linux-x86-64.so.2');
  const program = ['--library-path', join(tools, 'usr/lib/x86_64-linux-gnu'), join(tools, 'usr/bin/mkfs.erofs')];
  await run(loader, [...program, '--quiet', '--tar=f', '-Efragments', join(output, 'root.erofs'), archive]);
  rmSync(tools, { recursive: true });
  rmSync(toolsArchive);
}

/** What mmdebstrap says as it goes, in order. */
const PHASES = [
  'running apt-get update',
  'downloading packages with apt',
  'extracting archives',
  'installing essential packages',
  'installing remaining packages',
  'running --customize-hook',
  'creating tarball',
];

/** The ELF file within a bzImage where zstd packed it, as in Debian 13; else the image, which unpacks itself as it starts. */
export function unpackKernel(image: Buffer): Buffer {
  // Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"
  const SETUP_SECTS = 0x1f1;
  const PAYLOAD_OFFSET = 0x248;
  const PAYLOAD_LENGTH = 0x24c;
  const SECTOR_SIZE = 512;
  const ZSTD_MAGIC = 0xfd2fb528; // RFC 8878, 3.1.1
  const TRAILER_SIZE = 4; // the unpacked size, behind the compressed data
  const protectedMode = (image.readUInt8(SETUP_SECTS) + 1) * SECTOR_SIZE;
  const start = protectedMode + image.readUInt32LE(PAYLOAD_OFFSET);
  const payload = image.subarray(start, start + image.readUInt32LE(PAYLOAD_LENGTH) - TRAILER_SIZE);
  return payload.readUInt32LE(0) === ZSTD_MAGIC ? zstdDecompressSync(payload) : image;
}

/** Makes `initrd.cpio` in `output`: the init script, busybox, the supervisor and the modules in loading order. */
async function buildInitrd(root: string, output: string): Promise<void> {
  const here = import.meta.dirname;
  const unpacked = join(root, 'unpacked');
  const tree = mkdtempSync(join(output, 'tree-'));
  for (const folder of ['bin', 'dev', 'proc', 'sys', 'modules']) mkdirSync(join(tree, folder));
  copyFileSync(join(unpacked, 'usr/bin/busybox'), join(tree, 'bin/busybox'));
  copyFileSync(join(here, 'init'), join(tree, 'init'));
  chmodSync(join(tree, 'init'), 0o755);
  await run('musl-gcc', ['-static', '-Os', '-s', '-o', join(tree, 'supervisor'), join(here, 'supervisor.c')]);
  const modules = await moduleFiles(unpacked);
  for (const file of modules) copyFileSync(file, join(tree, 'modules', basename(file)));
  writeFileSync(join(tree, 'modules/order'), modules.map((file) => `${basename(file)}\n`).join(''));
  const names = await run('find', ['.', '-mindepth', '1'], { cwd: tree });
  const archive = join(output, 'initrd.cpio');
  await run('cpio', ['--create', '--format=newc', '--quiet', '--owner=0:0', `--file=${archive}`], {
    cwd: tree,
    input: names,
  });
  rmSync(tree, { recursive: true });
}

/** The boot modules' files and those they need, each behind the ones it needs. */
async function moduleFiles(unpacked: string): Promise<string[]> {
  const release = readdirSync(join(unpacked, 'usr/lib/modules'))[0];
  if (release === undefined) throw new Error('the package linux-image-cloud-amd64 brought no kernel modules');
  const options = ['--dirname', join(unpacked, 'usr'), '--set-version', release, '--show-depends'];
  const files = new Set<string>();
  for (const name of BOOT_MODULES) {
    const text = await run('modprobe', [...options, name]);
    for (const match of text.matchAll(/^insmod (\S+)/gm)) files.add(match[1] ?? '');
  }
  return [...files];
}
