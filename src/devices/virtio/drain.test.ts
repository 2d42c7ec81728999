import { expect, test, vi } from 'vitest';
import { EchoDevice } from './testing/echo-device.ts';
import { MockMachine } from './testing/mock-driver.ts';

test('a driver whose index moves to and fro between the looks cannot hold the loop', () => {
  const device = new EchoDevice();
  const machine = new MockMachine(device);
  machine.driver.start();
  const queue = device.context?.queues[1];
  if (queue === undefined) throw new Error('the queue was not set up');
  const take = vi.spyOn(queue, 'take').mockReturnValue(undefined);
  vi.spyOn(queue, 'requestNotifications').mockReturnValue(true);
  machine.driver.queue(1).kick();
  expect(take).toHaveBeenCalledTimes(queue.size);
  expect(machine.runDeferred()).toBe(1);
});
