// What is at the reset vector, where a PC has its BIOS: code that resets the machine.
// Kernels that know no better way jump there in real mode. Linux does so on a hardware-reduced ACPI machine without EFI
// (arch/x86/kernel/reboot.c: BOOT_EFI, then BOOT_BIOS), and hangs if there is nothing.
import { PORTS } from './layout.ts';

const I8042_COMMAND_PORT = PORTS.i8042.base + 4;
/** Pulses the 8042's output bit 0, the reset line. */
const I8042_PULSE_RESET = 0xfe;

export const RESET_VECTOR_CODE: Uint8Array = Uint8Array.of(
  ...[0xb0, I8042_PULSE_RESET], // mov $0xfe, %al
  ...[0xe6, I8042_COMMAND_PORT], // out %al, $0x64
  ...[0xf4, 0xeb, 0xfd], // again: hlt; jmp again
);
