import { expect, test } from 'vitest';
import { APIC_LVT_LINT0, APIC_LVT_LINT1, configureLocalApic } from './local-apic.ts';

const MASKED = 1 << 16;

/** A register page as KVM resets it: everything masked. */
function resetPage(): DataView {
  const page = new DataView(new ArrayBuffer(1024));
  page.setUint32(APIC_LVT_LINT0, MASKED, true);
  page.setUint32(APIC_LVT_LINT1, MASKED, true);
  return page;
}

test('the bootstrap processor takes ExtINT and NMI', () => {
  const page = resetPage();

  configureLocalApic(page, 0);

  expect([page.getUint32(APIC_LVT_LINT0, true), page.getUint32(APIC_LVT_LINT1, true)]).toEqual([0x700, 0x400]);
});

test('the others take NMI alone', () => {
  const page = resetPage();

  configureLocalApic(page, 1);

  expect([page.getUint32(APIC_LVT_LINT0, true), page.getUint32(APIC_LVT_LINT1, true)]).toEqual([MASKED, 0x400]);
});
