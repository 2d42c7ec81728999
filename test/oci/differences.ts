// Where a runtime does not do what the cases ask for, and why: these are not run for it. docs/conformance.md shows the table.

/** Of each runtime: a case by its full name, or a group of cases by theirs, and the reason. */
export const DIFFERENCES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  runc: {
    'update of limits > of memory counts on the swap that was set before':
      'version 1.1 forgets the swap that another update has set; later ones know it',
    'update of limits > refuses a limit below what is in use, where that is asked for':
      'version 1.1 does not know checkBeforeUpdate; later ones do',
  },
  crun: {
    'hooks > one that fails before the start fails the creation, which leaves nothing': 'ends with 255, runc with 1',
    'hooks > of the container run in it: the first with a static program of the host, the second with its own':
      'starts createContainer hooks in another folder than the root file system',
    'hooks > of both sides run in their order':
      'starts createContainer hooks in another folder than the root file system',
    'exec > is as its flags say': 'has no flag --additional-gids',
    'exec > is refused where nothing runs': 'ends with 1, runc with 255',
    'pause > lets a container stand still until it is resumed': 'pauses what is paused already',
    'errors > ["state","--nosuch","x"] says so': 'ends with 64, runc with 1',
    'errors > a verb that is not there ends with status 3': 'ends with 1',
    'questions > --version names version, commit and specification, a line each':
      'has a line with its folder of state among them',
    'questions > list of nothing is a header, and null as JSON': 'has other columns',
    'update > refuses values that it cannot read, in the words of Go': 'puts values into JSON unread',
    'update > of a container that has stopped is refused': 'does nothing, and says nothing',
    'update of limits > sets what its flags say, and leaves the rest':
      'takes the quota of processor time away with an update of its period',
    'update of limits > reads linux.resources from standard input, and from a file':
      'opens its standard input anew, which a socket does not allow',
    'the calls of engines > are taken word by word':
      'opens the standard input of update anew, which a socket does not allow',
    'update of limits > of memory counts on the swap that was set before':
      'forgets the swap that another update has set',
    'update of limits > takes sizes with units, and limits away with -1':
      'knows no units, and keeps a limit of processor time that -1 is to take away',
    'ps > prints a table of the processes': 'takes no options of ps(1)',
    'ps > of a container that has stopped finds nothing': 'prints an empty array',
    events: 'has no such verb',
    'command lines > take the flags of all verbs before the verb': 'makes a folder of the name that --rootless has',
    'command lines > a signal that is empty is SIGTERM': 'refuses it',
    'command lines > list shows whose containers they are, and state where their root is': 'has other columns',
    'command lines > spec --rootless writes the configuration of a user': 'leaves the users to its caller',
    'checkpoint > is refused for what does not run': 'looks for CRIU first',
  },
  tskata: {},
};

/** Between the names of groups and the name of their case. */
export const BETWEEN = ' > ';

/** Why a runtime does not pass a case; undefined where it does. @param name the case's full name */
export function differenceOf(runtime: string, name: string): string | undefined {
  const table = DIFFERENCES[runtime] ?? {};
  const found = Object.keys(table).find((key) => isNamed(key, name));
  return found === undefined ? undefined : table[found];
}

/** Whether a key of the table names this case or a group that it is in. */
export function isNamed(key: string, name: string): boolean {
  return name === key || name.startsWith(`${key}${BETWEEN}`);
}

/** All of them as a Markdown table. */
export function runtimeDifferencesTable(): string {
  const lines = Object.entries(DIFFERENCES).flatMap(([runtime, table]) =>
    Object.entries(table).map(([name, reason]) => `| ${runtime} | ${name.replaceAll('|', '\\|')} | ${reason} |`),
  );
  return ['| runtime | case | why |', '|---|---|---|', ...lines].join('\n');
}
