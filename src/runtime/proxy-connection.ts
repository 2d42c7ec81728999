// One proxy's connection to the sandbox: the line protocol of ARCHITECTURE.md, "Proxy protocol".
import type { Socket } from 'node:net';

/** What a proxy says. */
export type ProxyLine =
  | { readonly kind: 'attach'; readonly token: string; readonly pid: number }
  | { readonly kind: 'signal'; readonly signal: number }
  | { readonly kind: 'resize'; readonly rows: number; readonly columns: number }
  | { readonly kind: 'output'; readonly monotonicNs: bigint }
  | { readonly kind: 'unknown'; readonly line: string };

/** Reads one line, without its line feed. */
export function parseProxyLine(line: string): ProxyLine {
  const [word = '', first = '', second = ''] = line.split(' ');
  const isNumber = (text: string): boolean => /^\d{1,19}$/.test(text);
  if (word === 'ATTACH' && first !== '' && isNumber(second))
    return { kind: 'attach', token: first, pid: Number(second) };
  if (word === 'SIGNAL' && isNumber(first)) return { kind: 'signal', signal: Number(first) };
  if (word === 'RESIZE' && isNumber(first) && isNumber(second)) {
    return { kind: 'resize', rows: Number(first), columns: Number(second) };
  }
  if (word === 'OUTPUT' && isNumber(first)) return { kind: 'output', monotonicNs: BigInt(first) };
  return { kind: 'unknown', line };
}

/** Longer lines than any of the protocol's end the connection. */
const LINE_LENGTH_MAX = 512;

/** Calls `onLine` for each line that arrives; ends the connection when one is too long. */
export function readLines(socket: Socket, onLine: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
    if (rest.length > LINE_LENGTH_MAX) socket.destroy();
  });
}
