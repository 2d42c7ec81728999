// Numbers of Linux's system calls, sockets and devices, as glibc and the kernel's own headers have them.
#define _GNU_SOURCE
#include "print.h"
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <linux/vhost.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

// UDP segmentation is younger than the headers of some distributions (Linux 6.2, linux/if_tun.h).
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

int main(void)
{
  // sys/mman.h
  C(PROT_NONE) C(PROT_READ) C(PROT_WRITE) C(MAP_SHARED) C(MAP_PRIVATE) C(MAP_ANONYMOUS) C(MAP_NORESERVE)
  X(MFD_CLOEXEC) X(MFD_ALLOW_SEALING) C(MADV_DONTNEED) C(MADV_REMOVE) C(MADV_HUGEPAGE) C(MADV_DONTFORK) C(MADV_DONTDUMP)
  C(MADV_POPULATE_WRITE) C(MADV_COLLAPSE) C(MAP_FIXED) X(MAP_HUGETLB) X(MAP_HUGE_2MB) X(MAP_HUGE_1GB)
  X(MFD_HUGETLB) X(MFD_HUGE_2MB) X(MFD_HUGE_1GB)
  X(F_ADD_SEALS) X(F_SEAL_SHRINK) X(F_SEAL_GROW) X(F_SEAL_SEAL)

  // fcntl.h, sys/file.h, sys/eventfd.h, poll.h
  X(O_RDONLY) X(O_WRONLY) X(O_RDWR) X(O_CREAT) X(O_EXCL) X(O_TRUNC) X(O_NONBLOCK) X(O_CLOEXEC) X(O_DIRECT) X(O_PATH)
  C(F_DUPFD_CLOEXEC) C(F_GETFL) C(F_SETFL) C(F_GETFD) C(F_SETFD) C(FD_CLOEXEC)
  C(SEEK_DATA) C(SEEK_HOLE)
  C(FALLOC_FL_KEEP_SIZE) C(FALLOC_FL_PUNCH_HOLE) C(FALLOC_FL_ZERO_RANGE)
  C(LOCK_SH) C(LOCK_EX) C(LOCK_NB) C(LOCK_UN)
  X(EFD_CLOEXEC) X(EFD_NONBLOCK) C(EFD_SEMAPHORE)
  C(POLLIN) C(POLLOUT) C(POLLERR) C(POLLHUP)

  // sys/socket.h, sys/un.h, sys/time.h
  C(AF_UNIX) C(AF_INET) C(SOCK_STREAM) C(SOCK_DGRAM) C(SOCK_SEQPACKET) X(SOCK_CLOEXEC) X(SOCK_NONBLOCK)
  C(AF_NETLINK) C(SOCK_RAW) C(NETLINK_ROUTE) C(SOL_NETLINK) C(NETLINK_EXT_ACK) C(NETLINK_CAP_ACK)
  X(RTMGRP_LINK) X(RTMGRP_IPV4_IFADDR) X(RTMGRP_IPV6_IFADDR) X(RTMGRP_IPV4_ROUTE) X(RTMGRP_IPV6_ROUTE)
  STRUCT(sockaddr_nl, M(nl_family) M(nl_groups))
  X(CLONE_NEWNET)
  C(SOL_SOCKET) C(SO_ERROR) C(SO_RCVTIMEO) C(SO_SNDTIMEO) C(SO_PEERCRED) C(SCM_RIGHTS)
  X(MSG_NOSIGNAL) X(MSG_CMSG_CLOEXEC) X(MSG_DONTWAIT) X(MSG_WAITALL) X(MSG_CTRUNC) X(MSG_TRUNC)
  STRUCT(sockaddr_in, M(sin_family) M(sin_port) M(sin_addr))
  STRUCT(sockaddr_un, M(sun_family) M(sun_path))
  STRUCT(iovec, M(iov_base) M(iov_len))
  STRUCT(msghdr, M(msg_name) M(msg_namelen) M(msg_iov) M(msg_iovlen) M(msg_control) M(msg_controllen) M(msg_flags))
  STRUCT(cmsghdr, M(cmsg_len) M(cmsg_level) M(cmsg_type))
  STRUCT(timeval, M(tv_sec) M(tv_usec))
  STRUCT(pollfd, M(fd) M(events) M(revents))

  // sys/mount.h
  X(MS_RDONLY) X(MS_NOSUID) X(MS_NODEV) X(MS_NOEXEC) X(MS_REMOUNT) X(MS_BIND) X(MS_MOVE) X(MS_REC) X(MS_PRIVATE)
  X(MS_SLAVE) X(MS_SHARED) X(MS_UNBINDABLE) X(MNT_FORCE) X(MNT_DETACH) X(UMOUNT_NOFOLLOW)
  X(OPEN_TREE_CLONE) X(OPEN_TREE_CLOEXEC) X(AT_RECURSIVE) C(AT_FDCWD) X(MOVE_MOUNT_F_SYMLINKS)
  STRUCT(mount_attr, M(propagation))

  // sys/prctl.h
  C(PR_SET_PDEATHSIG) C(PR_SET_NAME) C(PR_SET_CHILD_SUBREAPER) C(PR_SET_NO_NEW_PRIVS) C(PR_SET_DUMPABLE)

  // linux/fs.h
  X(BLKGETSIZE64) X(BLKSSZGET) X(BLKDISCARD) X(BLKZEROOUT)

  // linux/stat.h
  X(AT_EMPTY_PATH) X(STATX_DIOALIGN)
  STRUCT(statx, M(stx_mask) M(stx_dio_mem_align) M(stx_dio_offset_align))

  // linux/if_tun.h, net/if.h
  X(TUNSETIFF) X(TUNGETIFF) X(TUNSETOFFLOAD) X(TUNSETVNETHDRSZ) X(TUNGETFEATURES) X(TUNSETPERSIST)
  X(IFF_TAP) X(IFF_NO_PI) X(IFF_VNET_HDR) X(IFF_TUN_EXCL) X(IFF_MULTI_QUEUE)
  X(TUN_F_CSUM) X(TUN_F_TSO4) X(TUN_F_TSO6) X(TUN_F_TSO_ECN) X(TUN_F_USO4) X(TUN_F_USO6)
  X(SIOCGIFFLAGS) X(SIOCSIFFLAGS) X(SIOCSIFMTU) X(IFF_UP)
  C(IFNAMSIZ)
  STRUCT(ifreq, M(ifr_name) M(ifr_flags) M(ifr_mtu))

  // linux/vhost.h
  X(VHOST_GET_FEATURES) X(VHOST_SET_FEATURES) X(VHOST_SET_OWNER) X(VHOST_RESET_OWNER) X(VHOST_SET_MEM_TABLE)
  X(VHOST_SET_VRING_NUM) X(VHOST_SET_VRING_ADDR) X(VHOST_SET_VRING_BASE) X(VHOST_GET_VRING_BASE)
  X(VHOST_SET_VRING_KICK) X(VHOST_SET_VRING_CALL) X(VHOST_SET_VRING_ERR) X(VHOST_GET_BACKEND_FEATURES)
  X(VHOST_SET_BACKEND_FEATURES) X(VHOST_NET_SET_BACKEND) X(VHOST_VSOCK_SET_GUEST_CID) X(VHOST_VSOCK_SET_RUNNING)
  C(VHOST_NET_F_VIRTIO_NET_HDR) C(VHOST_F_LOG_ALL) C(VHOST_PAGE_SIZE)
  STRUCT(vhost_vring_state, M(index) M(num))
  STRUCT(vhost_vring_file, M(index) M(fd))
  STRUCT(vhost_vring_addr, M(index) M(flags) M(desc_user_addr) M(used_user_addr) M(avail_user_addr) M(log_guest_addr))
  STRUCT(vhost_memory, M(nregions) M(padding) M(regions))
  STRUCT(vhost_memory_region, M(guest_phys_addr) M(memory_size) M(userspace_addr) M(flags_padding))
  return 0;
}
