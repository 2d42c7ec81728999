// Printed by native/abi/virtio.c; do not edit. `node native/abi/generate.ts` writes it again.
export const VIRTIO_MMIO_MAGIC_VALUE = 0x0;
export const VIRTIO_MMIO_VERSION = 0x4;
export const VIRTIO_MMIO_DEVICE_ID = 0x8;
export const VIRTIO_MMIO_VENDOR_ID = 0xc;
export const VIRTIO_MMIO_DEVICE_FEATURES = 0x10;
export const VIRTIO_MMIO_DEVICE_FEATURES_SEL = 0x14;
export const VIRTIO_MMIO_DRIVER_FEATURES = 0x20;
export const VIRTIO_MMIO_DRIVER_FEATURES_SEL = 0x24;
export const VIRTIO_MMIO_GUEST_PAGE_SIZE = 0x28;
export const VIRTIO_MMIO_QUEUE_SEL = 0x30;
export const VIRTIO_MMIO_QUEUE_NUM_MAX = 0x34;
export const VIRTIO_MMIO_QUEUE_NUM = 0x38;
export const VIRTIO_MMIO_QUEUE_ALIGN = 0x3c;
export const VIRTIO_MMIO_QUEUE_PFN = 0x40;
export const VIRTIO_MMIO_QUEUE_READY = 0x44;
export const VIRTIO_MMIO_QUEUE_NOTIFY = 0x50;
export const VIRTIO_MMIO_INTERRUPT_STATUS = 0x60;
export const VIRTIO_MMIO_INTERRUPT_ACK = 0x64;
export const VIRTIO_MMIO_STATUS = 0x70;
export const VIRTIO_MMIO_QUEUE_DESC_LOW = 0x80;
export const VIRTIO_MMIO_QUEUE_DESC_HIGH = 0x84;
export const VIRTIO_MMIO_QUEUE_AVAIL_LOW = 0x90;
export const VIRTIO_MMIO_QUEUE_AVAIL_HIGH = 0x94;
export const VIRTIO_MMIO_QUEUE_USED_LOW = 0xa0;
export const VIRTIO_MMIO_QUEUE_USED_HIGH = 0xa4;
export const VIRTIO_MMIO_SHM_SEL = 0xac;
export const VIRTIO_MMIO_SHM_LEN_LOW = 0xb0;
export const VIRTIO_MMIO_SHM_LEN_HIGH = 0xb4;
export const VIRTIO_MMIO_SHM_BASE_LOW = 0xb8;
export const VIRTIO_MMIO_SHM_BASE_HIGH = 0xbc;
export const VIRTIO_MMIO_CONFIG_GENERATION = 0xfc;
export const VIRTIO_MMIO_CONFIG = 0x100;
export const VIRTIO_MMIO_INT_VRING = 0x1;
export const VIRTIO_MMIO_INT_CONFIG = 0x2;
export const VRING_DESC_F_NEXT = 1;
export const VRING_DESC_F_WRITE = 2;
export const VRING_DESC_F_INDIRECT = 4;
export const VRING_PACKED_DESC_F_AVAIL = 7;
export const VRING_PACKED_DESC_F_USED = 15;
export const VRING_USED_F_NO_NOTIFY = 1;
export const VRING_AVAIL_F_NO_INTERRUPT = 1;
export const VRING_PACKED_EVENT_FLAG_ENABLE = 0;
export const VRING_PACKED_EVENT_FLAG_DISABLE = 1;
export const VRING_PACKED_EVENT_FLAG_DESC = 2;
export const VRING_PACKED_EVENT_F_WRAP_CTR = 15;
export const VIRTIO_RING_F_INDIRECT_DESC = 28;
export const VIRTIO_RING_F_EVENT_IDX = 29;
export const VRING_AVAIL_ALIGN_SIZE = 2;
export const VRING_USED_ALIGN_SIZE = 4;
export const VRING_DESC_ALIGN_SIZE = 16;
/** Byte offsets in struct vring_desc. */
export const vring_desc = {
  sizeof: 16,
  addr: 0,
  len: 8,
  flags: 12,
  next: 14,
} as const;
/** Byte offsets in struct vring_avail. */
export const vring_avail = {
  sizeof: 4,
  flags: 0,
  idx: 2,
  ring: 4,
} as const;
/** Byte offsets in struct vring_used_elem. */
export const vring_used_elem = {
  sizeof: 8,
  id: 0,
  len: 4,
} as const;
/** Byte offsets in struct vring_used. */
export const vring_used = {
  sizeof: 4,
  flags: 0,
  idx: 2,
  ring: 4,
} as const;
export const VIRTIO_ID_NET = 1;
export const VIRTIO_ID_BLOCK = 2;
export const VIRTIO_ID_CONSOLE = 3;
export const VIRTIO_ID_RNG = 4;
export const VIRTIO_ID_BALLOON = 5;
export const VIRTIO_ID_IOMEM = 6;
export const VIRTIO_ID_RPMSG = 7;
export const VIRTIO_ID_SCSI = 8;
export const VIRTIO_ID_9P = 9;
export const VIRTIO_ID_MAC80211_WLAN = 10;
export const VIRTIO_ID_RPROC_SERIAL = 11;
export const VIRTIO_ID_CAIF = 12;
export const VIRTIO_ID_MEMORY_BALLOON = 13;
export const VIRTIO_ID_GPU = 16;
export const VIRTIO_ID_CLOCK = 17;
export const VIRTIO_ID_INPUT = 18;
export const VIRTIO_ID_VSOCK = 19;
export const VIRTIO_ID_CRYPTO = 20;
export const VIRTIO_ID_SIGNAL_DIST = 21;
export const VIRTIO_ID_PSTORE = 22;
export const VIRTIO_ID_IOMMU = 23;
export const VIRTIO_ID_MEM = 24;
export const VIRTIO_ID_SOUND = 25;
export const VIRTIO_ID_FS = 26;
export const VIRTIO_ID_PMEM = 27;
export const VIRTIO_ID_RPMB = 28;
export const VIRTIO_ID_MAC80211_HWSIM = 29;
export const VIRTIO_ID_VIDEO_ENCODER = 30;
export const VIRTIO_ID_VIDEO_DECODER = 31;
export const VIRTIO_ID_SCMI = 32;
export const VIRTIO_ID_NITRO_SEC_MOD = 33;
export const VIRTIO_ID_I2C_ADAPTER = 34;
export const VIRTIO_ID_WATCHDOG = 35;
export const VIRTIO_ID_CAN = 36;
export const VIRTIO_ID_DMABUF = 37;
export const VIRTIO_ID_PARAM_SERV = 38;
export const VIRTIO_ID_AUDIO_POLICY = 39;
export const VIRTIO_ID_BT = 40;
export const VIRTIO_ID_GPIO = 41;
export const VIRTIO_CONFIG_S_ACKNOWLEDGE = 1;
export const VIRTIO_CONFIG_S_DRIVER = 2;
export const VIRTIO_CONFIG_S_DRIVER_OK = 4;
export const VIRTIO_CONFIG_S_FEATURES_OK = 8;
export const VIRTIO_CONFIG_S_NEEDS_RESET = 64;
export const VIRTIO_CONFIG_S_FAILED = 128;
export const VIRTIO_TRANSPORT_F_START = 28;
export const VIRTIO_F_NOTIFY_ON_EMPTY = 24;
export const VIRTIO_F_ANY_LAYOUT = 27;
export const VIRTIO_F_VERSION_1 = 32;
export const VIRTIO_F_ACCESS_PLATFORM = 33;
export const VIRTIO_F_IOMMU_PLATFORM = 33;
export const VIRTIO_F_RING_PACKED = 34;
export const VIRTIO_F_IN_ORDER = 35;
export const VIRTIO_F_ORDER_PLATFORM = 36;
export const VIRTIO_F_SR_IOV = 37;
export const VIRTIO_F_RING_RESET = 40;
export const VIRTIO_BLK_F_SIZE_MAX = 1;
export const VIRTIO_BLK_F_SEG_MAX = 2;
export const VIRTIO_BLK_F_GEOMETRY = 4;
export const VIRTIO_BLK_F_RO = 5;
export const VIRTIO_BLK_F_BLK_SIZE = 6;
export const VIRTIO_BLK_F_TOPOLOGY = 10;
export const VIRTIO_BLK_F_MQ = 12;
export const VIRTIO_BLK_F_DISCARD = 13;
export const VIRTIO_BLK_F_WRITE_ZEROES = 14;
export const VIRTIO_BLK_F_SECURE_ERASE = 16;
export const VIRTIO_BLK_F_BARRIER = 0;
export const VIRTIO_BLK_F_SCSI = 7;
export const VIRTIO_BLK_F_FLUSH = 9;
export const VIRTIO_BLK_F_CONFIG_WCE = 11;
export const VIRTIO_BLK_F_WCE = 9;
export const VIRTIO_BLK_ID_BYTES = 20;
export const VIRTIO_BLK_T_IN = 0;
export const VIRTIO_BLK_T_OUT = 1;
export const VIRTIO_BLK_T_SCSI_CMD = 2;
export const VIRTIO_BLK_T_FLUSH = 4;
export const VIRTIO_BLK_T_GET_ID = 8;
export const VIRTIO_BLK_T_DISCARD = 11;
export const VIRTIO_BLK_T_WRITE_ZEROES = 13;
export const VIRTIO_BLK_T_SECURE_ERASE = 14;
export const VIRTIO_BLK_T_BARRIER = 2147483648;
export const VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP = 1;
export const VIRTIO_BLK_S_OK = 0;
export const VIRTIO_BLK_S_IOERR = 1;
export const VIRTIO_BLK_S_UNSUPP = 2;
/** Byte offsets in struct virtio_blk_config. */
export const virtio_blk_config = {
  capacity: 0,
  size_max: 8,
  seg_max: 12,
  geometry: 16,
  blk_size: 20,
  physical_block_exp: 24,
  alignment_offset: 25,
  min_io_size: 26,
  opt_io_size: 28,
  wce: 32,
  num_queues: 34,
  max_discard_sectors: 36,
  max_discard_seg: 40,
  discard_sector_alignment: 44,
  max_write_zeroes_sectors: 48,
  max_write_zeroes_seg: 52,
  write_zeroes_may_unmap: 56,
  max_secure_erase_sectors: 60,
  max_secure_erase_seg: 64,
  secure_erase_sector_alignment: 68,
} as const;
/** Byte offsets in struct virtio_blk_outhdr. */
export const virtio_blk_outhdr = {
  sizeof: 16,
  type: 0,
  ioprio: 4,
  sector: 8,
} as const;
/** Byte offsets in struct virtio_blk_discard_write_zeroes. */
export const virtio_blk_discard_write_zeroes = {
  sizeof: 16,
  sector: 0,
  num_sectors: 8,
  flags: 12,
} as const;
export const VIRTIO_VSOCK_F_SEQPACKET = 1;
export const VIRTIO_VSOCK_EVENT_TRANSPORT_RESET = 0;
export const VIRTIO_VSOCK_TYPE_STREAM = 1;
export const VIRTIO_VSOCK_TYPE_SEQPACKET = 2;
export const VIRTIO_VSOCK_OP_INVALID = 0;
export const VIRTIO_VSOCK_OP_REQUEST = 1;
export const VIRTIO_VSOCK_OP_RESPONSE = 2;
export const VIRTIO_VSOCK_OP_RST = 3;
export const VIRTIO_VSOCK_OP_SHUTDOWN = 4;
export const VIRTIO_VSOCK_OP_RW = 5;
export const VIRTIO_VSOCK_OP_CREDIT_UPDATE = 6;
export const VIRTIO_VSOCK_OP_CREDIT_REQUEST = 7;
export const VIRTIO_VSOCK_SHUTDOWN_RCV = 1;
export const VIRTIO_VSOCK_SHUTDOWN_SEND = 2;
export const VIRTIO_VSOCK_SEQ_EOM = 1;
export const VIRTIO_VSOCK_SEQ_EOR = 2;
/** Byte offsets in struct virtio_vsock_config. */
export const virtio_vsock_config = {
  sizeof: 8,
  guest_cid: 0,
} as const;
/** Byte offsets in struct virtio_vsock_hdr. */
export const virtio_vsock_hdr = {
  sizeof: 44,
  src_cid: 0,
  dst_cid: 8,
  src_port: 16,
  dst_port: 20,
  len: 24,
  type: 28,
  op: 30,
  flags: 32,
  buf_alloc: 36,
  fwd_cnt: 40,
} as const;
/** Byte offsets in struct virtio_vsock_event. */
export const virtio_vsock_event = {
  sizeof: 4,
  id: 0,
} as const;
export const VIRTIO_NET_F_CSUM = 0;
export const VIRTIO_NET_F_GUEST_CSUM = 1;
export const VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2;
export const VIRTIO_NET_F_MTU = 3;
export const VIRTIO_NET_F_MAC = 5;
export const VIRTIO_NET_F_GUEST_TSO4 = 7;
export const VIRTIO_NET_F_GUEST_TSO6 = 8;
export const VIRTIO_NET_F_GUEST_ECN = 9;
export const VIRTIO_NET_F_GUEST_UFO = 10;
export const VIRTIO_NET_F_HOST_TSO4 = 11;
export const VIRTIO_NET_F_HOST_TSO6 = 12;
export const VIRTIO_NET_F_HOST_ECN = 13;
export const VIRTIO_NET_F_HOST_UFO = 14;
export const VIRTIO_NET_F_MRG_RXBUF = 15;
export const VIRTIO_NET_F_STATUS = 16;
export const VIRTIO_NET_F_CTRL_VQ = 17;
export const VIRTIO_NET_F_CTRL_RX = 18;
export const VIRTIO_NET_F_CTRL_VLAN = 19;
export const VIRTIO_NET_F_CTRL_RX_EXTRA = 20;
export const VIRTIO_NET_F_GUEST_ANNOUNCE = 21;
export const VIRTIO_NET_F_MQ = 22;
export const VIRTIO_NET_F_CTRL_MAC_ADDR = 23;
export const VIRTIO_NET_F_NOTF_COAL = 53;
export const VIRTIO_NET_F_HASH_REPORT = 57;
export const VIRTIO_NET_F_GUEST_USO4 = 54;
export const VIRTIO_NET_F_GUEST_USO6 = 55;
export const VIRTIO_NET_F_HOST_USO = 56;
export const VIRTIO_NET_HDR_GSO_UDP_L4 = 5;
export const VIRTIO_NET_F_RSS = 60;
export const VIRTIO_NET_F_RSC_EXT = 61;
export const VIRTIO_NET_F_STANDBY = 62;
export const VIRTIO_NET_F_SPEED_DUPLEX = 63;
export const VIRTIO_NET_F_GSO = 6;
export const VIRTIO_NET_S_LINK_UP = 1;
export const VIRTIO_NET_S_ANNOUNCE = 2;
export const VIRTIO_NET_RSS_HASH_TYPE_IPv4 = 1;
export const VIRTIO_NET_RSS_HASH_TYPE_TCPv4 = 2;
export const VIRTIO_NET_RSS_HASH_TYPE_UDPv4 = 4;
export const VIRTIO_NET_RSS_HASH_TYPE_IPv6 = 8;
export const VIRTIO_NET_RSS_HASH_TYPE_TCPv6 = 16;
export const VIRTIO_NET_RSS_HASH_TYPE_UDPv6 = 32;
export const VIRTIO_NET_RSS_HASH_TYPE_IP_EX = 64;
export const VIRTIO_NET_RSS_HASH_TYPE_TCP_EX = 128;
export const VIRTIO_NET_RSS_HASH_TYPE_UDP_EX = 256;
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
export const VIRTIO_NET_HDR_F_DATA_VALID = 2;
export const VIRTIO_NET_HDR_F_RSC_INFO = 4;
export const VIRTIO_NET_HDR_GSO_NONE = 0;
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
export const VIRTIO_NET_HDR_GSO_UDP = 3;
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4;
export const VIRTIO_NET_HDR_GSO_ECN = 128;
export const VIRTIO_NET_HASH_REPORT_NONE = 0;
export const VIRTIO_NET_HASH_REPORT_IPv4 = 1;
export const VIRTIO_NET_HASH_REPORT_TCPv4 = 2;
export const VIRTIO_NET_HASH_REPORT_UDPv4 = 3;
export const VIRTIO_NET_HASH_REPORT_IPv6 = 4;
export const VIRTIO_NET_HASH_REPORT_TCPv6 = 5;
export const VIRTIO_NET_HASH_REPORT_UDPv6 = 6;
export const VIRTIO_NET_HASH_REPORT_IPv6_EX = 7;
export const VIRTIO_NET_HASH_REPORT_TCPv6_EX = 8;
export const VIRTIO_NET_HASH_REPORT_UDPv6_EX = 9;
export const VIRTIO_NET_OK = 0;
export const VIRTIO_NET_ERR = 1;
export const VIRTIO_NET_CTRL_RX = 0;
export const VIRTIO_NET_CTRL_RX_PROMISC = 0;
export const VIRTIO_NET_CTRL_RX_ALLMULTI = 1;
export const VIRTIO_NET_CTRL_RX_ALLUNI = 2;
export const VIRTIO_NET_CTRL_RX_NOMULTI = 3;
export const VIRTIO_NET_CTRL_RX_NOUNI = 4;
export const VIRTIO_NET_CTRL_RX_NOBCAST = 5;
export const VIRTIO_NET_CTRL_MAC = 1;
export const VIRTIO_NET_CTRL_MAC_TABLE_SET = 0;
export const VIRTIO_NET_CTRL_MAC_ADDR_SET = 1;
export const VIRTIO_NET_CTRL_VLAN = 2;
export const VIRTIO_NET_CTRL_VLAN_ADD = 0;
export const VIRTIO_NET_CTRL_VLAN_DEL = 1;
export const VIRTIO_NET_CTRL_ANNOUNCE = 3;
export const VIRTIO_NET_CTRL_ANNOUNCE_ACK = 0;
export const VIRTIO_NET_CTRL_MQ = 4;
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET = 0;
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN = 1;
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX = 32768;
export const VIRTIO_NET_CTRL_MQ_RSS_CONFIG = 1;
export const VIRTIO_NET_CTRL_MQ_HASH_CONFIG = 2;
export const VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5;
export const VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET = 0;
export const VIRTIO_NET_CTRL_NOTF_COAL = 6;
export const VIRTIO_NET_CTRL_NOTF_COAL_TX_SET = 0;
export const VIRTIO_NET_CTRL_NOTF_COAL_RX_SET = 1;
/** Byte offsets in struct virtio_net_config. */
export const virtio_net_config = {
  mac: 0,
  status: 6,
  max_virtqueue_pairs: 8,
  mtu: 10,
  speed: 12,
  duplex: 16,
} as const;
/** Byte offsets in struct virtio_net_hdr_v1. */
export const virtio_net_hdr_v1 = {
  sizeof: 12,
  flags: 0,
  gso_type: 1,
  hdr_len: 2,
  gso_size: 4,
  csum_start: 6,
  csum_offset: 8,
  num_buffers: 10,
} as const;
/** Byte offsets in struct virtio_net_ctrl_hdr. */
export const virtio_net_ctrl_hdr = {
  sizeof: 2,
  class: 0,
  cmd: 1,
} as const;
/** Byte offsets in struct virtio_net_ctrl_mq. */
export const virtio_net_ctrl_mq = {
  sizeof: 2,
  virtqueue_pairs: 0,
} as const;
export const VIRTIO_FS_SHMCAP_ID_CACHE = 0;
/** Byte offsets in struct virtio_fs_config. */
export const virtio_fs_config = {
  tag: 0,
  num_request_queues: 36,
} as const;
export const VIRTIO_CONSOLE_F_SIZE = 0;
export const VIRTIO_CONSOLE_F_MULTIPORT = 1;
export const VIRTIO_CONSOLE_F_EMERG_WRITE = 2;
export const VIRTIO_CONSOLE_BAD_ID = 4294967295;
export const VIRTIO_CONSOLE_DEVICE_READY = 0;
export const VIRTIO_CONSOLE_PORT_ADD = 1;
export const VIRTIO_CONSOLE_PORT_REMOVE = 2;
export const VIRTIO_CONSOLE_PORT_READY = 3;
export const VIRTIO_CONSOLE_CONSOLE_PORT = 4;
export const VIRTIO_CONSOLE_RESIZE = 5;
export const VIRTIO_CONSOLE_PORT_OPEN = 6;
export const VIRTIO_CONSOLE_PORT_NAME = 7;
/** Byte offsets in struct virtio_console_config. */
export const virtio_console_config = {
  sizeof: 12,
  cols: 0,
  rows: 2,
  max_nr_ports: 4,
  emerg_wr: 8,
} as const;
/** Byte offsets in struct virtio_console_control. */
export const virtio_console_control = {
  sizeof: 8,
  id: 0,
  event: 4,
  value: 6,
} as const;
export const VIRTIO_BALLOON_F_MUST_TELL_HOST = 0;
export const VIRTIO_BALLOON_F_STATS_VQ = 1;
export const VIRTIO_BALLOON_F_DEFLATE_ON_OOM = 2;
export const VIRTIO_BALLOON_F_FREE_PAGE_HINT = 3;
export const VIRTIO_BALLOON_F_PAGE_POISON = 4;
export const VIRTIO_BALLOON_F_REPORTING = 5;
export const VIRTIO_BALLOON_PFN_SHIFT = 12;
export const VIRTIO_BALLOON_CMD_ID_STOP = 0;
export const VIRTIO_BALLOON_CMD_ID_DONE = 1;
export const VIRTIO_BALLOON_S_SWAP_IN = 0;
export const VIRTIO_BALLOON_S_SWAP_OUT = 1;
export const VIRTIO_BALLOON_S_MAJFLT = 2;
export const VIRTIO_BALLOON_S_MINFLT = 3;
export const VIRTIO_BALLOON_S_MEMFREE = 4;
export const VIRTIO_BALLOON_S_MEMTOT = 5;
export const VIRTIO_BALLOON_S_AVAIL = 6;
export const VIRTIO_BALLOON_S_CACHES = 7;
export const VIRTIO_BALLOON_S_HTLB_PGALLOC = 8;
export const VIRTIO_BALLOON_S_HTLB_PGFAIL = 9;
/** Byte offsets in struct virtio_balloon_config. */
export const virtio_balloon_config = {
  num_pages: 0,
  actual: 4,
  free_page_hint_cmd_id: 8,
  poison_val: 12,
} as const;
/** Byte offsets in struct virtio_balloon_stat. */
export const virtio_balloon_stat = {
  sizeof: 10,
  tag: 0,
  val: 2,
} as const;
export const VIRTIO_MEM_F_ACPI_PXM = 0;
export const VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE = 1;
export const VIRTIO_MEM_REQ_PLUG = 0;
export const VIRTIO_MEM_REQ_UNPLUG = 1;
export const VIRTIO_MEM_REQ_UNPLUG_ALL = 2;
export const VIRTIO_MEM_REQ_STATE = 3;
export const VIRTIO_MEM_RESP_ACK = 0;
export const VIRTIO_MEM_RESP_NACK = 1;
export const VIRTIO_MEM_RESP_BUSY = 2;
export const VIRTIO_MEM_RESP_ERROR = 3;
export const VIRTIO_MEM_STATE_PLUGGED = 0;
export const VIRTIO_MEM_STATE_UNPLUGGED = 1;
export const VIRTIO_MEM_STATE_MIXED = 2;
/** Byte offsets in struct virtio_mem_config. */
export const virtio_mem_config = {
  sizeof: 56,
  block_size: 0,
  node_id: 8,
  addr: 16,
  region_size: 24,
  usable_region_size: 32,
  plugged_size: 40,
  requested_size: 48,
} as const;
/** Byte offsets in struct virtio_mem_req. */
export const virtio_mem_req = {
  sizeof: 24,
  type: 0,
  'u.plug.addr': 8,
  'u.plug.nb_blocks': 16,
} as const;
/** Byte offsets in struct virtio_mem_resp. */
export const virtio_mem_resp = {
  sizeof: 10,
  type: 0,
  'u.state.state': 8,
} as const;
