// What verbs print.

/** Prints to standard output, and settles when it is there. @throws Error when it cannot be written, to a full disk for instance */
export async function print(text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error): void => {
      reject(new Error(`cannot write to standard output: ${cause.message}`, { cause }));
    };
    // Told twice, to the callback and to the stream, and the second must not end the process.
    process.stdout.on('error', fail);
    process.stdout.write(text, (error) => (error ? fail(error) : resolve()));
  });
}
