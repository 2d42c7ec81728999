// What the test run inside the emulated host tells the one outside: events, a line of JSON each, appended as they happen.
// A line that is not there did not happen: a host that died leaves tests without a result, and those have failed.

/** An error of a test, as far as it matters to a reader. */
export interface GuestError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  readonly diff?: string | undefined;
}

/** A test or suite as it was collected. Ids are unique in a run. */
export type GuestNode =
  | { readonly type: 'test'; readonly id: string; readonly name: string }
  | { readonly type: 'suite'; readonly id: string; readonly name: string; readonly children: readonly GuestNode[] };

export type GuestEvent =
  | { readonly event: 'collected'; readonly file: string; readonly children: readonly GuestNode[] }
  | ({ readonly event: 'test'; readonly id: string } & GuestResult)
  | { readonly event: 'suite'; readonly id: string; readonly errors: readonly GuestError[] }
  | { readonly event: 'file'; readonly file: string; readonly errors: readonly GuestError[] }
  | { readonly event: 'end'; readonly errors: readonly GuestError[] };

/** How a test ended. */
export interface GuestResult {
  readonly state: 'passed' | 'failed' | 'skipped';
  readonly durationMs: number;
  readonly errors: readonly GuestError[];
  /** Why it was skipped, when it said so. */
  readonly note?: string | undefined;
}

/** All that a run inside has told. */
export class GuestResults {
  readonly #collected = new Map<string, readonly GuestNode[]>();
  readonly #results = new Map<string, GuestResult>();
  readonly #suiteErrors = new Map<string, readonly GuestError[]>();
  readonly #fileErrors = new Map<string, readonly GuestError[]>();
  #end: readonly GuestError[] | undefined;

  /** @param texts the events' files; a last line that was cut off is left out */
  constructor(...texts: readonly string[]) {
    for (const line of texts.flatMap((text) => text.split('\n').slice(0, -1))) this.#take(JSON.parse(line));
  }

  /** Tests and suites of a file; undefined when the run ended before they were known. */
  nodes(file: string): readonly GuestNode[] | undefined {
    return this.#collected.get(file);
  }

  /** Undefined when the run ended before the test did. */
  result(id: string): GuestResult | undefined {
    return this.#results.get(id);
  }

  /** Errors of a suite's own hooks. */
  suiteErrors(id: string): readonly GuestError[] {
    return this.#suiteErrors.get(id) ?? [];
  }

  /** Errors of a file outside of its tests and suites; undefined when the run ended before the file did. */
  fileErrors(file: string): readonly GuestError[] | undefined {
    return this.#fileErrors.get(file);
  }

  /** Errors that belong to no file; undefined when the run did not reach its end. */
  get unhandledErrors(): readonly GuestError[] | undefined {
    return this.#end;
  }

  #take(event: GuestEvent): void {
    switch (event.event) {
      case 'collected':
        this.#collected.set(event.file, event.children);
        break;
      case 'test':
        this.#results.set(event.id, event);
        break;
      case 'suite':
        this.#suiteErrors.set(event.id, event.errors);
        break;
      case 'file':
        this.#fileErrors.set(event.file, event.errors);
        break;
      case 'end':
        this.#end = event.errors;
        break;
    }
  }
}

/** An event as a line of the file. */
export function eventLine(event: GuestEvent): string {
  return `${JSON.stringify(event)}\n`;
}
