import { expect, test } from 'vitest';
import { SavedStateError } from '../saved-state.ts';
import { GenerationId } from './generation-id.ts';

const FIRST = '324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87';
const SECOND = 'ffeeddcc-bbaa-9988-7766-554433221100';

function setUp(): { device: GenerationId; said: (string | number[])[] } {
  const said: (string | number[])[] = [];
  const device = new GenerationId(FIRST, {
    write: (bytes) => said.push([...bytes]),
    notify: () => said.push('notified'),
  });
  return { device, said };
}

test('a guest that starts finds it, as a GUID has its bytes, and is not told', () => {
  const { device, said } = setUp();

  device.publish();

  const bytes = [0xaf, 0x6e, 0x4e, 0x32, 0xd1, 0xd1, 0xf6, 0x4b, 0xbf, 0x41, 0xb9, 0xbb, 0x6c, 0x91, 0xfb, 0x87];
  expect(said).toEqual([bytes]);
});

test('a new one is written before the guest is told', () => {
  const { device, said } = setUp();

  device.setGeneration(SECOND.toUpperCase());

  const bytes = [0xcc, 0xdd, 0xee, 0xff, 0xaa, 0xbb, 0x88, 0x99, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00];
  expect(said).toEqual([bytes, 'notified']);
  expect(device.generation).toBe(SECOND);
});

test('what is no UUID is refused', () => {
  expect(() => setUp().device.setGeneration('1234')).toThrow(RangeError);
});

test('the saved state comes back without a word to the guest', () => {
  const { device, said } = setUp();
  const other = new GenerationId(SECOND, { write: () => {}, notify: () => {} });

  device.restoreState(JSON.parse(JSON.stringify(other.saveState())));

  expect([device.generation, said]).toEqual([SECOND, []]);
});

test.each([[null], [{}], [{ generation: 'x' }]])('the state %j is refused', (state) => {
  expect(() => setUp().device.restoreState(state)).toThrow(SavedStateError);
});
