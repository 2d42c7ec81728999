// Log lines as runc prints them (logrus, its text and JSON formatters): callers read them.

export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

/** RFC 3339 without fractions, as logrus writes times. */
export function logTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A line for a file or a pipe: `time="..." level=error msg="..."`. */
export function textLine(level: LogLevel, message: string, time: Date): string {
  return `time="${logTime(time)}" level=${level} msg=${quoteUnlessPlain(message)}\n`;
}

/** A line for a person at a terminal: `ERRO[0000] ...`. */
export function terminalLine(level: LogLevel, message: string, sinceStartMs: number): string {
  const seconds = String(Math.floor(sinceStartMs / 1000)).padStart(4, '0');
  return `${level.toUpperCase().slice(0, 4)}[${seconds}] ${withoutControls(message)} \n`;
}

/** Part of a message may come from a guest: it must not drive the terminal. Line feeds stay, messages have some. */
function withoutControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
  return text.replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** logrus, text_formatter.go: what consists of these characters alone is not quoted. */
function quoteUnlessPlain(text: string): string {
  return /^[a-zA-Z0-9\-._/@^+]+$/.test(text) ? text : quote(text);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

/** A string literal of Go (strconv.Quote). */
function quote(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is escaped
  const escaped = text.replace(/["\\\x00-\x1f\x7f]/g, (character) => {
    return ESCAPES[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
  return `"${escaped}"`;
}
