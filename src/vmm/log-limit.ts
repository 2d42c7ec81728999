// Keeps a guest from filling the disk of its host: it can make its devices fail, and so make us log, as often as it likes.

/** Lines that are passed on. Whoever looks for a reason finds it in the first. */
export const MAX_LOG_LINES = 100;

/** @returns `log` for MAX_LOG_LINES lines; then it says once that it says no more */
export function limitLog(log: (line: string) => void): (line: string) => void {
  let lines = 0;
  return (line) => {
    lines += 1;
    if (lines <= MAX_LOG_LINES) log(line);
    else if (lines === MAX_LOG_LINES + 1)
      log(`more than ${MAX_LOG_LINES} messages about this VM: the rest is left out`);
  };
}
