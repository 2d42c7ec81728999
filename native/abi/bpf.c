// Numbers of bpf(2) for a program that chooses sockets (BPF_PROG_TYPE_SK_LOOKUP).
#define _GNU_SOURCE
#include "print.h"
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

// bpf(2) takes a union, one part of it per command.
#define ATTRIBUTE(field) printf("export const OFFSETOF_bpf_attr_%s = %zu;\n", #field, offsetof(union bpf_attr, field));
#define LINK_ATTRIBUTE(field) \
  printf("export const OFFSETOF_bpf_attr_link_create_%s = %zu;\n", #field, offsetof(union bpf_attr, link_create.field));

int main(void)
{
  // sys/syscall.h, linux/bpf.h: commands and what they take
  C(SYS_bpf) C(BPF_MAP_CREATE) C(BPF_MAP_UPDATE_ELEM) C(BPF_PROG_LOAD) C(BPF_LINK_CREATE)
  printf("export const SIZEOF_bpf_attr = %zu;\n", sizeof(union bpf_attr));
  ATTRIBUTE(map_type) ATTRIBUTE(key_size) ATTRIBUTE(value_size) ATTRIBUTE(max_entries)
  ATTRIBUTE(map_fd) ATTRIBUTE(key) ATTRIBUTE(value)
  ATTRIBUTE(prog_type) ATTRIBUTE(insn_cnt) ATTRIBUTE(insns) ATTRIBUTE(license) ATTRIBUTE(expected_attach_type)
  LINK_ATTRIBUTE(prog_fd) LINK_ATTRIBUTE(target_fd) LINK_ATTRIBUTE(attach_type)
  C(BPF_MAP_TYPE_SOCKMAP) C(BPF_PROG_TYPE_SK_LOOKUP) C(BPF_SK_LOOKUP)

  // linux/bpf.h, linux/bpf_common.h: instructions, helpers, and what the program sees
  C(BPF_LD) C(BPF_LDX) C(BPF_ST) C(BPF_ALU64) C(BPF_JMP) C(BPF_IMM) C(BPF_MEM) C(BPF_W) C(BPF_DW) C(BPF_K) C(BPF_X)
  C(BPF_MOV) C(BPF_ADD) C(BPF_JEQ) C(BPF_JNE) C(BPF_CALL) C(BPF_EXIT) C(BPF_PSEUDO_MAP_FD)
  C(BPF_FUNC_map_lookup_elem) C(BPF_FUNC_sk_assign) C(BPF_FUNC_sk_release) C(SK_PASS)
  STRUCT(bpf_insn, M(code) M(off) M(imm))
  OPEN(bpf_sk_lookup, M(family) M(protocol) M(local_ip4))

  // sys/socket.h, netinet/in.h
  C(AF_INET) C(IPPROTO_TCP)
  // As it is in memory: network byte order.
  printf("export const LOOPBACK_IN_NETWORK_ORDER = %ld;\n", (long)htonl(INADDR_LOOPBACK));
  return 0;
}
