// Printed by native/abi/linux.c; do not edit. `node native/abi/generate.ts` writes it again.
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_ANONYMOUS = 32;
export const MAP_NORESERVE = 16384;
export const MFD_CLOEXEC = 0x1;
export const MFD_ALLOW_SEALING = 0x2;
export const MADV_DONTNEED = 4;
export const MADV_REMOVE = 9;
export const MADV_HUGEPAGE = 14;
export const MADV_DONTFORK = 10;
export const MADV_DONTDUMP = 16;
export const MADV_POPULATE_WRITE = 23;
export const MADV_COLLAPSE = 25;
export const MAP_FIXED = 16;
export const MAP_HUGETLB = 0x40000;
export const MAP_HUGE_2MB = 0x54000000;
export const MAP_HUGE_1GB = 0x78000000;
export const MFD_HUGETLB = 0x4;
export const MFD_HUGE_2MB = 0x54000000;
export const MFD_HUGE_1GB = 0x78000000;
export const F_ADD_SEALS = 0x409;
export const F_SEAL_SHRINK = 0x2;
export const F_SEAL_GROW = 0x4;
export const F_SEAL_SEAL = 0x1;
export const O_RDONLY = 0x0;
export const O_WRONLY = 0x1;
export const O_RDWR = 0x2;
export const O_CREAT = 0x40;
export const O_EXCL = 0x80;
export const O_TRUNC = 0x200;
export const O_NONBLOCK = 0x800;
export const O_CLOEXEC = 0x80000;
export const O_DIRECT = 0x4000;
export const O_PATH = 0x200000;
export const F_DUPFD_CLOEXEC = 1030;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_GETFD = 1;
export const F_SETFD = 2;
export const FD_CLOEXEC = 1;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
export const FALLOC_FL_ZERO_RANGE = 16;
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;
export const EFD_CLOEXEC = 0x80000;
export const EFD_NONBLOCK = 0x800;
export const EFD_SEMAPHORE = 1;
export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;
export const SOCK_CLOEXEC = 0x80000;
export const SOCK_NONBLOCK = 0x800;
export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const NETLINK_ROUTE = 0;
export const SOL_NETLINK = 270;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_CAP_ACK = 10;
export const RTMGRP_LINK = 0x1;
export const RTMGRP_IPV4_IFADDR = 0x10;
export const RTMGRP_IPV6_IFADDR = 0x100;
export const RTMGRP_IPV4_ROUTE = 0x40;
export const RTMGRP_IPV6_ROUTE = 0x400;
/** Byte offsets in struct sockaddr_nl. */
export const sockaddr_nl = {
  sizeof: 12,
  nl_family: 0,
  nl_groups: 8,
} as const;
export const CLONE_NEWNET = 0x40000000;
export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const SO_RCVTIMEO = 20;
export const SO_SNDTIMEO = 21;
export const SO_PEERCRED = 17;
export const SCM_RIGHTS = 1;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;
export const MSG_DONTWAIT = 0x40;
export const MSG_WAITALL = 0x100;
export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
/** Byte offsets in struct sockaddr_in. */
export const sockaddr_in = {
  sizeof: 16,
  sin_family: 0,
  sin_port: 2,
  sin_addr: 4,
} as const;
/** Byte offsets in struct sockaddr_un. */
export const sockaddr_un = {
  sizeof: 110,
  sun_family: 0,
  sun_path: 2,
} as const;
/** Byte offsets in struct iovec. */
export const iovec = {
  sizeof: 16,
  iov_base: 0,
  iov_len: 8,
} as const;
/** Byte offsets in struct msghdr. */
export const msghdr = {
  sizeof: 56,
  msg_name: 0,
  msg_namelen: 8,
  msg_iov: 16,
  msg_iovlen: 24,
  msg_control: 32,
  msg_controllen: 40,
  msg_flags: 48,
} as const;
/** Byte offsets in struct cmsghdr. */
export const cmsghdr = {
  sizeof: 16,
  cmsg_len: 0,
  cmsg_level: 8,
  cmsg_type: 12,
} as const;
/** Byte offsets in struct timeval. */
export const timeval = {
  sizeof: 16,
  tv_sec: 0,
  tv_usec: 8,
} as const;
/** Byte offsets in struct pollfd. */
export const pollfd = {
  sizeof: 8,
  fd: 0,
  events: 4,
  revents: 6,
} as const;
export const MS_RDONLY = 0x1;
export const MS_NOSUID = 0x2;
export const MS_NODEV = 0x4;
export const MS_NOEXEC = 0x8;
export const MS_REMOUNT = 0x20;
export const MS_BIND = 0x1000;
export const MS_MOVE = 0x2000;
export const MS_REC = 0x4000;
export const MS_PRIVATE = 0x40000;
export const MS_SLAVE = 0x80000;
export const MS_SHARED = 0x100000;
export const MS_UNBINDABLE = 0x20000;
export const MNT_FORCE = 0x1;
export const MNT_DETACH = 0x2;
export const UMOUNT_NOFOLLOW = 0x8;
export const OPEN_TREE_CLONE = 0x1;
export const OPEN_TREE_CLOEXEC = 0x80000;
export const AT_RECURSIVE = 0x8000;
export const AT_FDCWD = -100;
export const MOVE_MOUNT_F_SYMLINKS = 0x1;
/** Byte offsets in struct mount_attr. */
export const mount_attr = {
  sizeof: 32,
  propagation: 16,
} as const;
export const PR_SET_PDEATHSIG = 1;
export const PR_SET_NAME = 15;
export const PR_SET_CHILD_SUBREAPER = 36;
export const PR_SET_NO_NEW_PRIVS = 38;
export const PR_SET_DUMPABLE = 4;
export const BLKGETSIZE64 = 0x80081272;
export const BLKSSZGET = 0x1268;
export const BLKDISCARD = 0x1277;
export const BLKZEROOUT = 0x127f;
export const AT_EMPTY_PATH = 0x1000;
export const STATX_DIOALIGN = 0x2000;
/** Byte offsets in struct statx. */
export const statx = {
  sizeof: 256,
  stx_mask: 0,
  stx_dio_mem_align: 152,
  stx_dio_offset_align: 156,
} as const;
export const TUNSETIFF = 0x400454ca;
export const TUNGETIFF = 0x800454d2;
export const TUNSETOFFLOAD = 0x400454d0;
export const TUNSETVNETHDRSZ = 0x400454d8;
export const TUNGETFEATURES = 0x800454cf;
export const TUNSETPERSIST = 0x400454cb;
export const IFF_TAP = 0x2;
export const IFF_NO_PI = 0x1000;
export const IFF_VNET_HDR = 0x4000;
export const IFF_TUN_EXCL = 0x8000;
export const IFF_MULTI_QUEUE = 0x100;
export const TUN_F_CSUM = 0x1;
export const TUN_F_TSO4 = 0x2;
export const TUN_F_TSO6 = 0x4;
export const TUN_F_TSO_ECN = 0x8;
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;
export const SIOCGIFFLAGS = 0x8913;
export const SIOCSIFFLAGS = 0x8914;
export const SIOCSIFMTU = 0x8922;
export const IFF_UP = 0x1;
export const IFNAMSIZ = 16;
/** Byte offsets in struct ifreq. */
export const ifreq = {
  sizeof: 40,
  ifr_name: 0,
  ifr_flags: 16,
  ifr_mtu: 16,
} as const;
export const VHOST_GET_FEATURES = 0x8008af00;
export const VHOST_SET_FEATURES = 0x4008af00;
export const VHOST_SET_OWNER = 0xaf01;
export const VHOST_RESET_OWNER = 0xaf02;
export const VHOST_SET_MEM_TABLE = 0x4008af03;
export const VHOST_SET_VRING_NUM = 0x4008af10;
export const VHOST_SET_VRING_ADDR = 0x4028af11;
export const VHOST_SET_VRING_BASE = 0x4008af12;
export const VHOST_GET_VRING_BASE = 0xc008af12;
export const VHOST_SET_VRING_KICK = 0x4008af20;
export const VHOST_SET_VRING_CALL = 0x4008af21;
export const VHOST_SET_VRING_ERR = 0x4008af22;
export const VHOST_GET_BACKEND_FEATURES = 0x8008af26;
export const VHOST_SET_BACKEND_FEATURES = 0x4008af25;
export const VHOST_NET_SET_BACKEND = 0x4008af30;
export const VHOST_VSOCK_SET_GUEST_CID = 0x4008af60;
export const VHOST_VSOCK_SET_RUNNING = 0x4004af61;
export const VHOST_NET_F_VIRTIO_NET_HDR = 27;
export const VHOST_F_LOG_ALL = 26;
export const VHOST_PAGE_SIZE = 4096;
/** Byte offsets in struct vhost_vring_state. */
export const vhost_vring_state = {
  sizeof: 8,
  index: 0,
  num: 4,
} as const;
/** Byte offsets in struct vhost_vring_file. */
export const vhost_vring_file = {
  sizeof: 8,
  index: 0,
  fd: 4,
} as const;
/** Byte offsets in struct vhost_vring_addr. */
export const vhost_vring_addr = {
  sizeof: 40,
  index: 0,
  flags: 4,
  desc_user_addr: 8,
  used_user_addr: 16,
  avail_user_addr: 24,
  log_guest_addr: 32,
} as const;
/** Byte offsets in struct vhost_memory. */
export const vhost_memory = {
  sizeof: 8,
  nregions: 0,
  padding: 4,
  regions: 8,
} as const;
/** Byte offsets in struct vhost_memory_region. */
export const vhost_memory_region = {
  sizeof: 32,
  guest_phys_addr: 0,
  memory_size: 8,
  userspace_addr: 16,
  flags_padding: 24,
} as const;
