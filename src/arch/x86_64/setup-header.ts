// struct setup_header of the Linux/x86 boot protocol: where its fields are.
// Source: Linux, arch/x86/include/uapi/asm/bootparam.h, and Documentation/arch/x86/boot.rst.

/** Offset of the header in the file and in the zero page. */
export const SETUP_HEADER_OFFSET = 0x1f1;
/** In the zero page the header ends here at the latest: edd_mbr_sig_buffer follows. */
export const SETUP_HEADER_SIZE_MAX = 0x290 - SETUP_HEADER_OFFSET;

/** Fields by their name in struct setup_header; offsets from the start of the file (and of the zero page). */
export const SETUP_HEADER = {
  setup_sects: { offset: 0x1f1, size: 1 },
  syssize: { offset: 0x1f4, size: 4 },
  boot_flag: { offset: 0x1fe, size: 2 },
  jump: { offset: 0x200, size: 2 },
  header: { offset: 0x202, size: 4 },
  version: { offset: 0x206, size: 2 },
  type_of_loader: { offset: 0x210, size: 1 },
  loadflags: { offset: 0x211, size: 1 },
  code32_start: { offset: 0x214, size: 4 },
  ramdisk_image: { offset: 0x218, size: 4 },
  ramdisk_size: { offset: 0x21c, size: 4 },
  cmd_line_ptr: { offset: 0x228, size: 4 },
  initrd_addr_max: { offset: 0x22c, size: 4 },
  kernel_alignment: { offset: 0x230, size: 4 },
  relocatable_kernel: { offset: 0x234, size: 1 },
  xloadflags: { offset: 0x236, size: 2 },
  cmdline_size: { offset: 0x238, size: 4 },
  setup_data: { offset: 0x250, size: 8 },
  pref_address: { offset: 0x258, size: 8 },
  init_size: { offset: 0x260, size: 4 },
} as const;

/** Value of boot_flag. */
export const BOOT_FLAG = 0xaa55;
/** Value of header, as text. */
export const HEADER_MAGIC = 'HdrS';
/** Protocol 2.12 brought xloadflags and with it the 64-bit entry. */
export const BOOT_PROTOCOL_2_12 = 0x20c;
/** Protocol 2.15 (Linux 5.5) is what a header made for an ELF kernel claims. */
export const BOOT_PROTOCOL_2_15 = 0x20f;
/** type_of_loader of a boot loader without a number of its own. */
export const LOADER_TYPE_UNDEFINED = 0xff;

/**
 * A setup header for a kernel that comes without one, an ELF vmlinux: it has been unpacked already, so all it reads is
 * what the loader fills in.
 */
export function blankSetupHeader(): Uint8Array {
  const header = new Uint8Array(SETUP_HEADER_SIZE_MAX);
  const view = new DataView(header.buffer);
  const at = (field: { readonly offset: number }): number => field.offset - SETUP_HEADER_OFFSET;
  view.setUint16(at(SETUP_HEADER.boot_flag), BOOT_FLAG, true);
  header.set(new TextEncoder().encode(HEADER_MAGIC), at(SETUP_HEADER.header));
  view.setUint16(at(SETUP_HEADER.version), BOOT_PROTOCOL_2_15, true);
  return header;
}
