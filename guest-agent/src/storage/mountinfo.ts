// The format of /proc/PID/mountinfo (proc_pid_mountinfo(5)). Pure.

/** Paths of the mounts (field 5), where white space and backslashes are octal escapes. */
export function mountPointsOf(text: string): string[] {
  return text
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((path) => path.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8))));
}
