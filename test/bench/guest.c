/*
 * The first program of a guest that is measured. The kernel's command line says what it does (`bench=NAME`), and host.c reads
 * the figures from the control port: lines of "NAME COUNT NS", COUNT being bytes or operations. "done" is the last one.
 */
#include "peer.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define MIB (1024 * 1024ULL)
#define DISK "/dev/vda"
#define SHARE_TAG "bench"
#define SHARE "/mnt"

static FILE *control;
static char *buffer;

/* The number that the command line gives for `name`. */
static uint64_t setting(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void result(const char *name, uint64_t count, uint64_t started) {
  fprintf(control, "%s %llu %llu\n", name, (unsigned long long)count, (unsigned long long)(now_ns() - started));
}

static void check(int failed, const char *what) {
  if (!failed) return;
  fprintf(control, "failed %s: %s\n", what, strerror(errno));
  fail(what);
}

static int connect_to(const struct sockaddr *address, socklen_t size) {
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, address, size) < 0) return -1;
  return fd;
}

static int connect_vsock(unsigned port) {
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_HOST};
  return connect_to((struct sockaddr *)&address, sizeof(address));
}

/* The page cache holds nothing of what was written. */
static void drop_caches(void) {
  sync();
  int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
  check(fd < 0 || write(fd, "3", 1) != 1, "drop_caches");
  close(fd);
}

static void read_file(const char *name, const char *path, int flags, uint64_t size, size_t block) {
  int fd = open(path, O_RDONLY | flags);
  check(fd < 0, path);
  uint64_t started = now_ns();
  for (uint64_t at = 0; at < size; at += block) check(read_all(fd, buffer, block), "read");
  result(name, size, started);
  close(fd);
}

static void write_file(const char *name, const char *path, int flags, uint64_t size, size_t block) {
  int fd = open(path, O_WRONLY | flags, 0644);
  check(fd < 0, path);
  uint64_t started = now_ns();
  for (uint64_t at = 0; at < size; at += block) check(write_all(fd, buffer, block), "write");
  check(fsync(fd), "fsync");
  result(name, size, started);
  close(fd);
}

/* One 4 KiB request after the other, each somewhere else. */
static void random_reads(const char *name, const char *path, uint64_t size, uint64_t count) {
  int fd = open(path, O_RDONLY | O_DIRECT);
  check(fd < 0, path);
  uint64_t started = now_ns();
  for (uint64_t i = 0; i < count; i++) {
    uint64_t page = i * 2654435761U % (size / 4096); // Knuth's multiplicative hash: the same places in each run
    check(pread(fd, buffer, 4096, (off_t)(page * 4096)) != 4096, "pread");
  }
  result(name, count, started);
  close(fd);
}

static void measure_block(void) {
  uint64_t size = setting("size", 64) * MIB;
  read_file("sequential-read", DISK, 0, size, MIB);
  read_file("direct-read", DISK, O_DIRECT, size, MIB);
  write_file("direct-write", DISK, O_DIRECT, size, MIB);
  random_reads("random-read", DISK, size, setting("count", 200));
}

static void measure_fs(void) {
  uint64_t size = setting("size", 32) * MIB;
  uint64_t count = setting("count", 100);
  char path[64];
  struct stat status;
  check(mount(SHARE_TAG, SHARE, "virtiofs", 0, NULL), "mount");
  write_file("sequential-write", SHARE "/file", O_CREAT | O_TRUNC, size, MIB);
  drop_caches();
  read_file("sequential-read", SHARE "/file", 0, size, MIB);
  uint64_t started = now_ns();
  for (uint64_t i = 0; i < count; i++) {
    snprintf(path, sizeof(path), SHARE "/%llu", (unsigned long long)i);
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    check(fd < 0 || write(fd, path, 16) != 16 || close(fd), "create");
  }
  result("create", count, started);
  drop_caches();
  started = now_ns();
  DIR *folder = opendir(SHARE);
  check(folder == NULL, "opendir");
  uint64_t found = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL; found++) {
    snprintf(path, sizeof(path), SHARE "/%.40s", entry->d_name);
    check(stat(path, &status), "stat");
  }
  closedir(folder);
  result("list", found, started);
  started = now_ns();
  for (uint64_t i = 0; i < count; i++) {
    snprintf(path, sizeof(path), SHARE "/%llu", (unsigned long long)i);
    check(unlink(path), "unlink");
  }
  result("remove", count, started);
}

static void order(int fd, char operation, uint64_t count) {
  struct bulk_order order = {.operation = operation, .count = count};
  check(write_all(fd, &order, sizeof(order)), "order");
}

static void measure_stream(int fd) {
  uint64_t size = setting("size", 32) * MIB;
  uint64_t count = setting("count", 100);
  check(fd < 0, "connect");
  uint64_t started = now_ns();
  order(fd, 'S', size);
  check(send_bulk(fd, buffer, size) || read_all(fd, buffer, 1), "send");
  result("guest-to-host", size, started);
  started = now_ns();
  order(fd, 'R', size);
  check(receive_bulk(fd, buffer, size), "receive");
  result("host-to-guest", size, started);
  started = now_ns();
  order(fd, 'P', count);
  for (uint64_t i = 0; i < count; i++) check(write_all(fd, buffer, 1) || read_all(fd, buffer, 1), "ping");
  result("round-trips", count, started);
  close(fd); // host.c does nothing else meanwhile
}

static struct sockaddr_in internet_address(const char *name, in_port_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  const char *text = getenv(name);
  check(text == NULL || inet_pton(AF_INET, text, &address.sin_addr) != 1, name);
  return address;
}

static void set_up_interface(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq request = {.ifr_name = "eth0"};
  struct sockaddr_in own = internet_address("address", 0);
  memcpy(&request.ifr_addr, &own, sizeof(own));
  check(ioctl(fd, SIOCSIFADDR, &request), "SIOCSIFADDR");
  inet_pton(AF_INET, "255.255.255.0", &own.sin_addr);
  memcpy(&request.ifr_netmask, &own, sizeof(own));
  check(ioctl(fd, SIOCSIFNETMASK, &request), "SIOCSIFNETMASK");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  check(ioctl(fd, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
  close(fd);
}

static void measure_net(void) {
  set_up_interface();
  struct sockaddr_in host = internet_address("peer", BULK_PORT);
  int fd = connect_to((struct sockaddr *)&host, sizeof(host));
  int on = 1;
  if (fd >= 0) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  measure_stream(fd);
}

/* Reaches the host again and again: a guest that goes on from a snapshot finds its connection gone. */
static void wait_and_reconnect(int fd) {
  char byte;
  for (;;) {
    while (fd >= 0 && read(fd, &byte, 1) > 0)
      ;
    close(fd);
    while ((fd = connect_vsock(CONTROL_PORT)) < 0) usleep(1000);
  }
}

int main(void) {
  mount("dev", "/dev", "devtmpfs", 0, NULL);
  mount("proc", "/proc", "proc", 0, NULL);
  if (posix_memalign((void **)&buffer, 4096, MIB) != 0) fail("memory");
  memset(buffer, 0x5a, MIB);
  int fd = connect_vsock(CONTROL_PORT);
  control = fd < 0 ? NULL : fdopen(fd, "w");
  if (control == NULL) fail("control port");
  setvbuf(control, NULL, _IOLBF, 0);
  const char *name = getenv("bench");
  if (name == NULL) check(1, "bench= on the command line");
  else if (strcmp(name, "block") == 0) measure_block();
  else if (strcmp(name, "fs") == 0) measure_fs();
  else if (strcmp(name, "vsock") == 0) measure_stream(connect_vsock(BULK_PORT));
  else if (strcmp(name, "net") == 0) measure_net();
  else if (strcmp(name, "wait") == 0) wait_and_reconnect(fd);
  else check(1, name);
  fprintf(control, "done\n");
  for (;;) pause();
}
