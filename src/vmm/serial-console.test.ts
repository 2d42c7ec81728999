import { expect, test } from 'vitest';
import { SerialConsole } from './serial-console.ts';

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

test('input after the end touches no interrupt line: its VM is closed', () => {
  const { console, levels } = makeConsole();
  console[Symbol.dispose]();
  console.input(Uint8Array.of(1));
  expect(levels).toEqual([]);
});
