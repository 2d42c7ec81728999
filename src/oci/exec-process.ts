// The process object of an exec that is described by flags: the container's own process, with what the flags say instead.
import { ConfigError } from './check.ts';
import type { Process } from './config.ts';

/** Flags of `exec`; what is absent is as in the container's process. */
export interface ExecFlags {
  readonly args: readonly string[];
  readonly cwd?: string | undefined;
  /** Added to the environment. */
  readonly env?: readonly string[] | undefined;
  /** `<uid>[:<gid>]` */
  readonly user?: string | undefined;
  readonly additionalGids?: readonly string[] | undefined;
  readonly tty?: boolean | undefined;
  readonly noNewPrivs?: boolean | undefined;
  /** Capabilities added to the bounding, effective and permitted sets. */
  readonly cap?: readonly string[] | undefined;
  readonly apparmor?: string | undefined;
  readonly processLabel?: string | undefined;
}

const ADDED_SETS = ['bounding', 'effective', 'permitted'] as const;

/** @throws ConfigError for a user or group that is none */
export function execProcess(container: Process, flags: ExecFlags): Process {
  const { args, cwd, env, noNewPrivs, cap, apparmor, processLabel } = flags;
  return {
    ...container,
    args,
    terminal: flags.tty === true,
    env: [...(container.env ?? []), ...(env ?? [])],
    user: execUser(container.user, flags),
    ...(cwd ? { cwd } : {}),
    ...(noNewPrivs === undefined ? {} : { noNewPrivileges: noNewPrivs }),
    ...(cap?.length ? { capabilities: addCapabilities(container.capabilities, cap) } : {}),
    ...(apparmor ? { apparmorProfile: apparmor } : {}),
    ...(processLabel ? { selinuxLabel: processLabel } : {}),
  };
}

function execUser(container: Process['user'], { user, additionalGids }: ExecFlags): NonNullable<Process['user']> {
  const [uid, gid] = user ? user.split(/:(.*)/s) : [];
  return {
    uid: 0,
    gid: 0,
    ...container,
    ...(uid === undefined ? {} : { uid: id('--user', uid) }),
    ...(gid === undefined ? {} : { gid: id('--user', gid) }),
    ...(additionalGids?.length
      ? {
          additionalGids: [
            ...(container?.additionalGids ?? []),
            ...additionalGids.map((gid) => id('--additional-gids', gid)),
          ],
        }
      : {}),
  };
}

/** Names are for the engines to look up: in the container they may mean something else. */
function id(flag: string, text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new ConfigError(flag, text, 'a number', 'on the command line');
  return Number(text);
}

function addCapabilities(own: Process['capabilities'], added: readonly string[]): NonNullable<Process['capabilities']> {
  const none = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };
  const sets = { ...none, ...own };
  return { ...sets, ...Object.fromEntries(ADDED_SETS.map((name) => [name, [...(sets[name] ?? []), ...added]])) };
}
