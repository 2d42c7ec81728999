// The PCI configuration ports of a machine without PCI: a host bridge would give back the address written to 0xcf8 (PCI
// Local Bus Specification 3.0, 3.2.2.3.2). All ones, which is what is read here, tells a prober at once that there is none.
import type { BusDevice } from '../../bus/address-bus.ts';

export const absentPci: BusDevice = {
  read(_offset, data) {
    data.fill(0xff);
  },
  write() {},
};
