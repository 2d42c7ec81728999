import { describe, expect, test } from 'vitest';
import { SavedStateError } from '../saved-state.ts';
import { SerialPort } from './serial.ts';

// Registers by offset, with the names of the data sheet.
const DATA = 0;
const IER = 1;
const IIR = 2;
const FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;
const SCR = 7;

function setUp(): { port: SerialPort; sent: number[]; levels: boolean[]; ready: () => number } {
  const sent: number[] = [];
  const levels: boolean[] = [];
  let readyCalls = 0;
  const port = new SerialPort({
    transmit: (byte) => sent.push(byte),
    setInterrupt: (level) => levels.push(level),
    readyToReceive: () => {
      readyCalls++;
    },
  });
  return { port, sent, levels, ready: () => readyCalls };
}

/** What Linux does when a program opens the port: FIFOs on with trigger level 8, OUT2, RTS and DTR. */
function open(port: SerialPort, interruptEnable: number): void {
  port.writeRegister(FCR, 0x81);
  port.writeRegister(LCR, 0x03);
  port.writeRegister(MCR, 0x0b);
  port.writeRegister(IER, interruptEnable);
}

describe('sending', () => {
  test('hands bytes on in order, always ready for the next', () => {
    const { port, sent } = setUp();

    for (const byte of [0x48, 0x69]) port.writeRegister(DATA, byte);

    expect(sent).toEqual([0x48, 0x69]);
    expect(port.readRegister(LSR)).toBe(0x60);
  });

  test('interrupts when the transmitter is enabled, and again after each byte', () => {
    const { port, levels } = setUp();
    open(port, 0x02);

    const first = port.readRegister(IIR);
    const afterFirst = port.readRegister(IIR);
    port.writeRegister(DATA, 0x41);

    expect([first, afterFirst]).toEqual([0xc2, 0xc1]);
    expect(levels).toEqual([true, false, true]);
  });

  test('makes an edge for every byte, even if the driver does not read IIR in between', () => {
    const { port, levels } = setUp();
    open(port, 0x02);

    port.writeRegister(DATA, 0x41);

    expect(levels).toEqual([true, false, true]);
  });

  test('passes the transmitter test of a driver: IER off and on gives the interrupt again', () => {
    const { port } = setUp();
    open(port, 0x02);
    port.readRegister(IIR);

    port.writeRegister(IER, 0);
    port.writeRegister(IER, 0x02);

    expect(port.readRegister(IIR)).toBe(0xc2);
  });
});

describe('receiving', () => {
  test('gives the bytes to the driver and drops the line when all are read', () => {
    const { port, levels } = setUp();
    open(port, 0x01);

    const taken = port.receive(Uint8Array.of(0x61, 0x62));
    const status = port.readRegister(LSR);
    const bytes = [port.readRegister(DATA), port.readRegister(DATA)];

    expect(taken).toBe(2);
    expect(status).toBe(0x61);
    expect(bytes).toEqual([0x61, 0x62]);
    expect(port.readRegister(LSR)).toBe(0x60);
    expect(levels).toEqual([true, false]);
  });

  test('tells a full trigger level from a few late bytes', () => {
    const { port } = setUp();
    open(port, 0x01);

    port.receive(new Uint8Array(7));
    const few = port.readRegister(IIR);
    port.receive(new Uint8Array(1));

    expect(few).toBe(0xcc);
    expect(port.readRegister(IIR)).toBe(0xc4);
  });

  test('takes what the FIFO holds and calls when there is room again', () => {
    const { port, ready } = setUp();
    open(port, 0x01);

    const taken = port.receive(new Uint8Array(20));
    const takenWhenFull = port.receive(new Uint8Array(4));
    const callsBefore = ready();
    port.readRegister(DATA);

    expect([taken, takenWhenFull, callsBefore]).toEqual([16, 0, 0]);
    expect(ready()).toBe(1);
  });

  test('has room for one byte without FIFO', () => {
    const { port } = setUp();

    expect(port.receive(Uint8Array.of(1, 2))).toBe(1);
  });

  test('forgets the bytes when the driver clears the FIFO', () => {
    const { port, ready } = setUp();
    open(port, 0x01);
    port.receive(new Uint8Array(17));

    port.writeRegister(FCR, 0x83);

    expect(port.readRegister(LSR)).toBe(0x60);
    expect(ready()).toBe(1);
  });

  test('reads as zero when there is nothing', () => {
    expect(setUp().port.readRegister(DATA)).toBe(0);
  });
});

describe('what Linux looks at to tell a 16550A (drivers/tty/serial/8250/8250_port.c, autoconfig)', () => {
  test('IER keeps its four bits and no more', () => {
    const { port } = setUp();

    port.writeRegister(IER, 0x00);
    const cleared = port.readRegister(IER);
    port.writeRegister(IER, 0xff);

    expect([cleared, port.readRegister(IER)]).toEqual([0x00, 0x0f]);
  });

  test('loopback brings RTS and OUT2 back as CTS and DCD', () => {
    const { port } = setUp();

    port.writeRegister(MCR, 0x10 | 0x0a);

    expect(port.readRegister(MSR) & 0xf0).toBe(0x90);
  });

  test('IIR shows working FIFOs, and no 64-byte ones (16750)', () => {
    const { port } = setUp();

    port.writeRegister(FCR, 0x01);
    const plain = port.readRegister(IIR) >> 6;
    port.writeRegister(LCR, 0x80);
    port.writeRegister(FCR, 0x21);

    expect([plain, port.readRegister(IIR) >> 5]).toEqual([3, 6]);
  });

  test('there is no enhanced feature register behind DLAB or LCR 0xbf (16650)', () => {
    const { port } = setUp();
    port.writeRegister(FCR, 0x01);

    port.writeRegister(LCR, 0x80);
    const behindDlab = port.readRegister(2);
    port.writeRegister(LCR, 0xbf);

    expect([behindDlab, port.readRegister(2)]).toEqual([0xc1, 0xc1]);
  });

  test('there is a scratch register (8250)', () => {
    const { port } = setUp();

    port.writeRegister(SCR, 0xa5);

    expect(port.readRegister(SCR)).toBe(0xa5);
  });
});

describe('modem control and divisor', () => {
  test('the divisor latches are behind DLAB and leave IER alone', () => {
    const { port } = setUp();
    port.writeRegister(IER, 0x05);
    port.writeRegister(LCR, 0x83);
    port.writeRegister(DATA, 0x34);
    port.writeRegister(IER, 0x12);
    const divisor = [port.readRegister(DATA), port.readRegister(IER)];

    port.writeRegister(LCR, 0x03);

    expect(divisor).toEqual([0x34, 0x12]);
    expect(port.readRegister(IER)).toBe(0x05);
  });

  test('the line stays low until OUT2 opens its gate', () => {
    const { port, levels } = setUp();
    port.writeRegister(IER, 0x02);
    const before = [...levels];

    port.writeRegister(MCR, 0x08);

    expect(before).toEqual([]);
    expect(levels).toEqual([true]);
  });

  test('in loopback, bytes come back to the receiver and not to the line', () => {
    const { port, sent } = setUp();
    port.writeRegister(FCR, 0x01);
    port.writeRegister(MCR, 0x10);

    port.writeRegister(DATA, 0x5a);
    const fromOutside = port.receive(Uint8Array.of(1));

    expect(port.readRegister(DATA)).toBe(0x5a);
    expect([sent, fromOutside]).toEqual([[], 0]);
  });

  test('a loopback that runs over is reported once', () => {
    const { port } = setUp();
    port.writeRegister(MCR, 0x10);

    port.writeRegister(DATA, 1);
    port.writeRegister(DATA, 2);

    expect([port.readRegister(LSR), port.readRegister(LSR)]).toEqual([0x63, 0x61]);
  });

  test('changes of the modem lines interrupt and show once', () => {
    const { port, levels } = setUp();
    open(port, 0x08);

    port.writeRegister(MCR, 0x19);
    port.writeRegister(MCR, 0x0b);
    const source = port.readRegister(IIR);
    const status = port.readRegister(MSR);

    expect(source).toBe(0xc0);
    expect(status & 0xf0).toBe(0xb0);
    expect(status & 0x0f).not.toBe(0);
    expect(port.readRegister(MSR) & 0x0f).toBe(0);
    expect(levels).toEqual([true, false]);
  });
});

describe('saved state', () => {
  test('goes on in another port: settings, bytes that wait, and the interrupt', () => {
    const { port } = setUp();
    open(port, 0x05);
    port.writeRegister(SCR, 0x77);
    port.receive(Uint8Array.of(1, 2));
    const other = setUp();

    other.port.restoreState(JSON.parse(JSON.stringify(port.saveState())));

    expect(other.levels).toEqual([true]);
    expect([IIR, LCR, SCR, DATA, DATA].map((register) => other.port.readRegister(register))).toEqual([
      ...[0xcc, 0x03, 0x77, 1, 2],
    ]);
    expect(other.levels).toEqual([true, false]);
  });

  test('keeps the divisor and the overrun', () => {
    const { port } = setUp();
    port.writeRegister(MCR, 0x10);
    port.writeRegister(DATA, 1);
    port.writeRegister(DATA, 2);
    port.writeRegister(LCR, 0x83);
    port.writeRegister(IER, 0x12);
    const other = setUp();

    other.port.restoreState(JSON.parse(JSON.stringify(port.saveState())));

    expect([IER, DATA, LSR].map((register) => other.port.readRegister(register))).toEqual([0x12, 0x0c, 0x63]);
  });

  test.each<[string, object]>([
    ['more bytes than the receiver holds', { received: [1, 2] }],
    ['a divisor of 17 bits', { divisor: 0x1_0000 }],
    ['a missing register', { scratch: undefined }],
    ['text for a flag', { isOverrun: 'no' }],
  ])('%s is refused', (_, change) => {
    const state = { ...setUp().port.saveState(), ...change };

    expect(() => setUp().port.restoreState(state)).toThrow(SavedStateError);
  });
});
