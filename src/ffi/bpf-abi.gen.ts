// Printed by native/abi/bpf.c; do not edit. `node native/abi/generate.ts` writes it again.
export const SYS_bpf = 321;
export const BPF_MAP_CREATE = 0;
export const BPF_MAP_UPDATE_ELEM = 2;
export const BPF_PROG_LOAD = 5;
export const BPF_LINK_CREATE = 28;
export const SIZEOF_bpf_attr = 144;
export const OFFSETOF_bpf_attr_map_type = 0;
export const OFFSETOF_bpf_attr_key_size = 4;
export const OFFSETOF_bpf_attr_value_size = 8;
export const OFFSETOF_bpf_attr_max_entries = 12;
export const OFFSETOF_bpf_attr_map_fd = 0;
export const OFFSETOF_bpf_attr_key = 8;
export const OFFSETOF_bpf_attr_value = 16;
export const OFFSETOF_bpf_attr_prog_type = 0;
export const OFFSETOF_bpf_attr_insn_cnt = 4;
export const OFFSETOF_bpf_attr_insns = 8;
export const OFFSETOF_bpf_attr_license = 16;
export const OFFSETOF_bpf_attr_expected_attach_type = 68;
export const OFFSETOF_bpf_attr_link_create_prog_fd = 0;
export const OFFSETOF_bpf_attr_link_create_target_fd = 4;
export const OFFSETOF_bpf_attr_link_create_attach_type = 8;
export const BPF_MAP_TYPE_SOCKMAP = 15;
export const BPF_PROG_TYPE_SK_LOOKUP = 30;
export const BPF_SK_LOOKUP = 36;
export const BPF_LD = 0;
export const BPF_LDX = 1;
export const BPF_ST = 2;
export const BPF_ALU64 = 7;
export const BPF_JMP = 5;
export const BPF_IMM = 0;
export const BPF_MEM = 96;
export const BPF_W = 0;
export const BPF_DW = 24;
export const BPF_K = 0;
export const BPF_X = 8;
export const BPF_MOV = 176;
export const BPF_ADD = 0;
export const BPF_JEQ = 16;
export const BPF_JNE = 80;
export const BPF_CALL = 128;
export const BPF_EXIT = 144;
export const BPF_PSEUDO_MAP_FD = 1;
export const BPF_FUNC_map_lookup_elem = 1;
export const BPF_FUNC_sk_assign = 124;
export const BPF_FUNC_sk_release = 86;
export const SK_PASS = 1;
/** Byte offsets in struct bpf_insn. */
export const bpf_insn = {
  sizeof: 8,
  code: 0,
  off: 2,
  imm: 4,
} as const;
/** Byte offsets in struct bpf_sk_lookup. */
export const bpf_sk_lookup = {
  family: 8,
  protocol: 12,
  local_ip4: 40,
} as const;
export const AF_INET = 2;
export const IPPROTO_TCP = 6;
export const LOOPBACK_IN_NETWORK_ORDER = 16777343;
