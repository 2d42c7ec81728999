// The emulated host: a virtual machine with AMD-V, emulated in software by QEMU, that runs commands as root.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { buildHostImage, DEFAULT_HOST_RELEASE, type HostImage, type HostRelease } from '../../images/host/build.ts';
import { collector } from './collector.ts';
import { HostError } from './host-error.ts';
import { InputFeed } from './host-input.ts';
import {
  encodeFrame,
  encodeNumbers,
  encodeRun,
  FRAME_SIGNAL,
  FRAME_WAKE,
  FRAME_WINDOW_SIZE,
  FrameDecoder,
  type HostFrame,
  type RunRequest,
  type WindowSize,
} from './host-protocol.ts';
import { boundToParent, findVirtiofsd, type Share, startVirtiofsd } from './host-share.ts';
import { cacheDirectory, projectDirectory } from './paths.ts';

const START_TIMEOUT_MS = 120_000;
/**
 * The emulated processor has been seen to sleep for ever on a timer interrupt that it was told of and did not take, with the
 * whole host: guests stopped in the middle of whatever they did. Any other interrupt brings it back.
 */
const WAKE_INTERVAL_MS = 500;
const CONSOLE_LINES = 60;
const SETUP = join(projectDirectory, 'images/host/setup.sh');

/** What setup.sh mounts by tag: the project, its npm packages (read anew for each Node that starts, else), the cache. */
const SHARES: readonly Share[] = [
  { tag: 'project', directory: projectDirectory, caching: 'fresh' },
  { tag: 'packages', directory: join(projectDirectory, 'node_modules'), caching: 'kept' },
  { tag: 'cache', directory: cacheDirectory, caching: 'kept' },
];

/** Size of the emulated host. */
export interface MachineSize {
  readonly memoryMib: number;
  readonly cpus: number;
  /**
   * Whether its clock counts instructions, a nanosecond each, while it is busy: what runs in it takes the same time whatever
   * else the machine does. One processor only. @default false
   */
  readonly countsInstructions?: boolean;
}

/** Where a command's input comes from and its output goes; nothing comes and output is dropped where one is absent. */
export interface Streams {
  readonly stdin?: Readable | undefined;
  readonly stdout?: Writable | undefined;
  readonly stderr?: Writable | undefined;
}

/** The command that runs on an emulated host. */
interface Running {
  readonly streams: Streams;
  readonly finish: (status: number) => void;
  readonly fail: (error: Error) => void;
  readonly input: InputFeed;
}

/**
 * The emulated processor, an AMD one with SVM. Left out are
 * - cx16: QEMU 7.2 loses flags in cmpxchg16b, and the kernel crashes in kmalloc;
 * - xsave: XSETBV of a nested guest is not intercepted, so that its KVM goes on with another XCR0 than it set, and its
 *   kernel loses vector registers at context switches; with it go the extensions whose registers only xsave saves;
 * - erms and fsrm, which promise that a move or a store byte by byte is the fastest: here each byte takes an instruction's
 *   time, and host and guests spent a quarter of a container's life in clearing pages so.
 */
const PROCESSOR =
  'EPYC-Milan,-cx16,-xsave,-avx,-avx2,-fma,-f16c,-vaes,-vpclmulqdq,-pku,-erms,-fsrm,+svm,+npt,+nrip-save';

/**
 * The command line of QEMU, which finds its control channel as descriptor 3.
 * Each processor has a thread: in turn, each would keep the others waiting for a tenth of a second. See DEFAULT_SIZE.
 * Programs are where they were the time before (norandmaps): what QEMU has translated of them is used again.
 */
export function qemuCommand(image: HostImage, size: MachineSize, sockets: ReadonlyMap<string, string>): string[] {
  const kernelArguments =
    'console=ttyS0 quiet panic=-1 lsm=capability mitigations=off norandmaps tsc=reliable no_timer_check';
  return [
    'qemu-system-x86_64',
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...[
      '-machine',
      'q35,graphics=off',
      '-accel',
      `tcg,thread=${size.countsInstructions === true ? 'single' : 'multi'}`,
    ],
    ...(size.countsInstructions === true ? ['-icount', 'shift=0'] : []),
    ...['-cpu', PROCESSOR, '-smp', String(size.cpus), '-m', `${size.memoryMib}M`],
    ...['-object', `memory-backend-memfd,id=memory,size=${size.memoryMib}M,share=on`, '-numa', 'node,memdev=memory'],
    ...['-kernel', image.kernel, '-initrd', image.initrd, '-append', kernelArguments],
    ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
    ...['-drive', `file=${image.root},format=raw,if=none,id=root,readonly=on`, '-device', 'virtio-blk-pci,drive=root'],
    ...[
      '-chardev',
      'socket,id=control,fd=3',
      '-device',
      'virtio-serial-pci',
      '-device',
      'virtserialport,chardev=control',
    ],
    ...[...sockets].flatMap(([tag, path]) => [
      ...['-chardev', `socket,id=share-${tag},path=${path}`],
      ...['-device', `vhost-user-fs-pci,chardev=share-${tag},tag=${tag}`],
    ]),
  ];
}

/** A running emulated host. It ends when it is disposed of, and when this process ends in any way. */
export class EmulatedHost implements AsyncDisposable {
  readonly #channel: Readable & Writable;
  readonly #decoder = new FrameDecoder();
  readonly #cleanUp: AsyncDisposableStack;
  #console = '';
  #running: Running | undefined;
  #dead: HostError | undefined;
  #ready: PromiseWithResolvers<void> = Promise.withResolvers();

  /** Builds what is missing, starts the machine, and sets it up: after this it takes commands. */
  static async start(size: MachineSize, release: HostRelease = DEFAULT_HOST_RELEASE): Promise<EmulatedHost> {
    if (process.getuid?.() !== 0)
      throw new HostError(
        'need-root',
        'the emulated host shares folders with their owners, so it needs root: use sudo',
      );
    const [image, virtiofsd] = await Promise.all([buildHostImage(release), findVirtiofsd()]);
    await using stack = new AsyncDisposableStack();
    const directory = makeScratchDirectory();
    stack.defer(() => rmSync(directory, { recursive: true, force: true }));
    const sockets = new Map(SHARES.map((share) => [share.tag, join(directory, share.tag)]));
    await Promise.all(
      SHARES.map(async (share) => {
        const child = await startVirtiofsd(virtiofsd, share, join(directory, share.tag));
        stack.defer(() => endProcess(child));
      }),
    );
    const [program, args] = boundToParent(qemuCommand(image, size, sockets));
    const qemu = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], detached: true });
    stack.defer(() => endProcess(qemu));
    const host = new EmulatedHost(qemu, stack.move());
    try {
      await host.#setUp();
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
    return host;
  }

  private constructor(qemu: ChildProcess, cleanUp: AsyncDisposableStack) {
    this.#cleanUp = cleanUp;
    this.#channel = qemu.stdio[3] as Readable & Writable;
    for (const stream of [qemu.stdout, qemu.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.#console = (this.#console + chunk.toString('latin1')).slice(-16_384);
      });
    this.#channel.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#channel.on('error', () => {}); // QEMU has ended: `close` below says so
    qemu.on('error', (cause) => this.#die(`cannot run QEMU: ${cause.message}: apt-get install qemu-system-x86`));
    qemu.on('close', (status, signal) => this.#die(`QEMU ended with ${signal ?? `exit status ${status}`}`));
  }

  /**
   * Runs a command to its end and gives its exit status (128 + signal number when a signal ended it, 127 or 126 when it
   * could not be started). All its output has been written to the streams by then. One command at a time.
   * @throws HostError when the host dies
   */
  async run(request: RunRequest, streams: Streams): Promise<number> {
    if (this.#dead !== undefined) throw this.#dead;
    if (this.#running !== undefined) throw new HostError('busy', 'the emulated host already runs a command');
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#channel.write(encodeRun(request));
    const input = new InputFeed(streams.stdin, (frame) => this.#channel.write(frame));
    this.#running = { streams, input, finish: resolve, fail: reject };
    try {
      return await promise;
    } finally {
      input.stop();
      this.#running = undefined;
    }
  }

  /** Sends a signal to the process group of the running command, if there is one. */
  signal(number: number): void {
    if (this.#running !== undefined) this.#channel.write(encodeNumbers(FRAME_SIGNAL, number));
  }

  /** Tells the running command's terminal its new size. */
  resize(size: WindowSize): void {
    this.#channel.write(encodeNumbers(FRAME_WINDOW_SIZE, size.rows, size.columns));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#die('it was ended');
    await this.#cleanUp.disposeAsync();
  }

  async #setUp(): Promise<void> {
    const timer = setTimeout(
      () => this.#die(`nothing from its supervisor in ${START_TIMEOUT_MS} ms`),
      START_TIMEOUT_MS,
    );
    try {
      await this.#ready.promise;
    } finally {
      clearTimeout(timer);
    }
    const waking = setInterval(() => this.#channel.write(encodeFrame(FRAME_WAKE)), WAKE_INTERVAL_MS).unref();
    this.#cleanUp.defer(() => clearInterval(waking));
    const { stream, bytes } = collector();
    const command = ['busybox', 'sh', '-c', readFileSync(SETUP, 'utf8'), 'setup.sh', projectDirectory, cacheDirectory];
    const environment = { PATH: HOST_PATH };
    const status = await this.run({ command, folder: '/', environment }, { stdout: stream, stderr: stream });
    if (status !== 0) throw new HostError('start-failed', `${SETUP} ended with status ${status} in it:\n${bytes()}`);
  }

  #receive(chunk: Buffer): void {
    let flowing = true;
    for (const frame of this.#decoder.push(chunk)) flowing = this.#take(frame) && flowing;
    if (flowing) return;
    this.#channel.pause();
    const { stdout, stderr } = this.#running?.streams ?? {};
    const full = [stdout, stderr].filter((stream) => stream?.writableNeedDrain === true);
    Promise.all(full.map((stream) => stream && once(stream, 'drain')))
      .catch(() => {}) // an output that breaks is its owner's to notice
      .finally(() => this.#channel.resume());
  }

  /** Acts on a frame; false when an output is full. */
  #take(frame: HostFrame): boolean {
    const running = this.#running;
    switch (frame.type) {
      case 'ready':
        this.#ready.resolve();
        return true;
      case 'stdout':
      case 'stderr':
        return writeTo(running?.streams[frame.type], frame.data);
      case 'credit':
        running?.input.addCredit(frame.bytes);
        return true;
      case 'exit':
        running?.finish(frame.status);
        return true;
    }
  }

  #die(reason: string): void {
    if (this.#dead !== undefined) return;
    const lines = this.#console.trim().split('\n').slice(-CONSOLE_LINES).join('\n');
    this.#dead = new HostError(
      'died',
      `the emulated host is gone: ${reason}; the last lines of its console:\n${lines}`,
    );
    this.#ready.promise.catch(() => {});
    this.#ready.reject(this.#dead);
    this.#running?.fail(this.#dead);
  }
}

/** PATH of every command in the emulated host. */
export const HOST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** False when the stream is full for now. What nobody takes (any more) is dropped. */
function writeTo(stream: Writable | undefined, data: Buffer): boolean {
  return stream === undefined || stream.destroyed || stream.write(data);
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** A folder for sockets, named for this process, so that those that a killed process left can be told and removed. */
function makeScratchDirectory(): string {
  const prefix = 'tskata-host-';
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(prefix))) {
    const pid = Number.parseInt(name.slice(prefix.length), 10);
    if (!isAlive(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  return mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
