// How a script ends when it cannot do its work.

/** Prints what failed, the causes behind it included, and makes the exit status 1. */
export function reportFailure(error: unknown): void {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    process.stderr.write(`tskata: ${cause.message}\n`);
  if (!(error instanceof Error)) process.stderr.write(`tskata: ${String(error)}\n`);
  process.exitCode = 1;
}
