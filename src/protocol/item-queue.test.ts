import { describe, expect, test, vi } from 'vitest';
import { ItemQueue } from './item-queue.ts';

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of items) taken.push(item);
  return taken;
}

const over = { done: true, value: undefined };

describe('a queue', () => {
  test('gives items in their order, whether they came before or after they were asked for', async () => {
    const queue = new ItemQueue<number>(10);
    queue.push(1);
    const taken = all(queue);
    queue.push(2);
    queue.push(3);
    queue.end();
    expect(await taken).toEqual([1, 2, 3]);
  });

  test('answers readers that wait in the order in which they asked', async () => {
    const queue = new ItemQueue<string>(10);
    const asked = [queue.next(), queue.next(), queue.next()];
    queue.push('a');
    queue.push('b');
    queue.end();
    expect(await Promise.all(asked)).toEqual([{ done: false, value: 'a' }, { done: false, value: 'b' }, over]);
  });

  test('takes no more than it may hold, and more once something was taken out', async () => {
    const queue = new ItemQueue<string>(10);
    expect(queue.push('six', 6)).toBe(true);
    expect(queue.push('five', 5)).toBe(false);
    await queue.next();
    expect(queue.push('five', 5)).toBe(true);
  });

  test('takes an item of any weight for a reader that waits', async () => {
    const queue = new ItemQueue<string>(1);
    const asked = queue.next();
    expect(queue.push('heavy', 100)).toBe(true);
    expect(await asked).toMatchObject({ value: 'heavy' });
  });

  test('tells its error after the items before it, once', async () => {
    const queue = new ItemQueue<number>(10);
    queue.push(1);
    queue.end(new Error('broken'));
    expect(await queue.next()).toMatchObject({ value: 1 });
    await expect(queue.next()).rejects.toThrow('broken');
    expect(await queue.next()).toEqual(over);
  });

  test('drops what comes after its end', async () => {
    const queue = new ItemQueue<number>(10);
    queue.end();
    expect(queue.push(1)).toBe(true);
    expect(await all(queue)).toEqual([]);
  });

  test('says once that its reader has left, and lets go of whoever waits', async () => {
    const left = vi.fn();
    const queue = new ItemQueue<number>(10, left);
    const asked = queue.next();
    expect(await queue.return()).toEqual(over);
    await queue.return();
    expect(await asked).toEqual(over);
    expect(left).toHaveBeenCalledTimes(1);
  });

  test('that has ended does not say that its reader has left', async () => {
    const left = vi.fn();
    const queue = new ItemQueue<number>(10, left);
    queue.end(new Error('never told'));
    await queue.return();
    expect(await queue.next()).toEqual(over);
    expect(left).not.toHaveBeenCalled();
  });
});
