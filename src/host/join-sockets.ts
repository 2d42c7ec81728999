// Two connections become one.
import type { Socket } from 'node:net';
import { noticeBreak } from './vsock-unix.ts';

/** Carries bytes both ways, with back-pressure. Half-closes go through, and so do breaks. @param a and b: with `allowHalfOpen` */
export function joinSockets(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    from.on('end', () => noticeBreak(from));
    from.on('error', () => {});
    from.on('close', () => to.destroySoon());
  }
}
