import { expect, test } from 'vitest';
import { SerialConsole } from './serial-console.ts';

const UART_RX = 0;
const UART_IER = 1;
const UART_MCR = 4;
const UART_IER_RDI = 1 << 0;
const UART_MCR_OUT2 = 1 << 3;

function makeConsole() {
  const levels: boolean[] = [];
  const console = new SerialConsole({ setInterrupt: (level) => void levels.push(level), output: () => {} });
  console.port.writeRegister(UART_MCR, UART_MCR_OUT2);
  console.port.writeRegister(UART_IER, UART_IER_RDI);
  return { console, levels };
}

test('input interrupts the guest', () => {
  const { console, levels } = makeConsole();
  console.input(Uint8Array.of(1));
  expect(levels).toEqual([true]);
});

test('who gives more input than the guest reads is asked to wait, until it has read or the VM ends', async () => {
  const { console } = makeConsole();
  expect(console.input(new Uint8Array(1000))).toBeUndefined();
  const busy = console.input(new Uint8Array(64 * 1024));
  expect(busy).toBeInstanceOf(Promise);
  console[Symbol.dispose]();
  await expect(busy).resolves.toBeUndefined();
});

test('input after the end touches no interrupt line: its VM is closed', () => {
  const { console, levels } = makeConsole();
  console[Symbol.dispose]();
  console.input(Uint8Array.of(1));
  expect(levels).toEqual([]);
});

test('who types is asked to wait while the guest does not read, until it does', async () => {
  const { console } = makeConsole();
  const told: string[] = [];

  expect(console.input(new Uint8Array(100))).toBeUndefined();
  void console.input(new Uint8Array(65_536))?.then(() => told.push('room'));
  await Promise.resolve();
  expect(told).toEqual([]);
  for (let read = 0; read < 200; read++) console.port.readRegister(UART_RX);
  await Promise.resolve();

  expect(told).toEqual(['room']);
});

test('who waits for room is let go at the end', async () => {
  const { console } = makeConsole();
  const room = console.input(new Uint8Array(100_000));
  console[Symbol.dispose]();

  await expect(room).resolves.toBeUndefined();
});
