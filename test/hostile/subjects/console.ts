import { CONSOLE_QUEUE, ConsoleDevice } from '../../../src/devices/virtio/console/device.ts';
import { FakeTerminal } from '../../../src/devices/virtio/testing/console-guest.ts';
import { FakeTimers } from '../../../src/devices/virtio/testing/fake-vsock-host.ts';
import { concatenate } from '../../../src/devices/virtio/testing/mock-driver.ts';
import type { Subject } from '../subject.ts';

export const console: Subject = {
  name: 'console',
  eagerQueue: CONSOLE_QUEUE.transmit,
  openings: [],
  create() {
    const terminal = new FakeTerminal();
    const timers = new FakeTimers();
    const device = new ConsoleDevice({ output: (bytes) => terminal.output(bytes), timers });
    return {
      device,
      act(choice, size) {
        const actions = [
          () => void device.input(new Uint8Array(size).fill(5)),
          () => void terminal.take(),
          () => {
            terminal.isSlow = !terminal.isSlow;
          },
          () => device.resize(size & 0xff, choice),
          () => timers.advance(100),
        ];
        actions[choice % actions.length]?.();
      },
      release() {
        terminal.isSlow = false;
        void terminal.take();
      },
      received: () => [concatenate(terminal.pieces)],
      async use(driver, settle) {
        const queue = driver.queue(CONSOLE_QUEUE.transmit);
        queue.push({ read: new TextEncoder().encode('it works') });
        queue.kick();
        await settle();
        return queue.takeUsed().length === 1 && terminal.text.endsWith('it works');
      },
    };
  },
};
