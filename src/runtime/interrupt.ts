// Interrupts of a verb.

/** Signals with which a person or a service manager ends a command. (Not SIGHUP: a handler would undo nohup(1).) */
const INTERRUPTS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Makes of an interrupt a failure like any other, after which nothing stays: by default it would end us on the spot.
 * @param action may be called more than once
 */
export function onInterrupt(action: () => void): Disposable {
  for (const signal of INTERRUPTS) process.on(signal, action);
  return {
    [Symbol.dispose]() {
      for (const signal of INTERRUPTS) process.off(signal, action);
    },
  };
}
