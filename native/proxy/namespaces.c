#define _GNU_SOURCE
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Those that callers share between containers by a path, or set up themselves. */
static const struct {
  const char *name;
  int flag;
} KINDS[] = {{"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}};

static int flag_of(const char *kind, size_t length) {
  for (size_t index = 0; index < sizeof KINDS / sizeof *KINDS; index++)
    if (strlen(KINDS[index].name) == length && memcmp(KINDS[index].name, kind, length) == 0) return KINDS[index].flag;
  fail(0, "there are no namespaces of the kind", kind);
}

/* A new network has it down. */
static void raise_loopback(void) {
  struct ifreq request = {.ifr_name = "lo"};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) fail(errno, "cannot find the interface", "lo");
  request.ifr_flags |= IFF_UP;
  if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) fail(errno, "cannot bring up the interface", "lo");
  close(fd);
}

void make_namespace(const char *kind) {
  int flag = flag_of(kind, strlen(kind));
  if (unshare(flag) < 0) fail(errno, "cannot make a namespace of the kind", kind);
  if (flag == CLONE_NEWNET) raise_loopback();
}

void join_namespace(const char *kind_and_path) {
  const char *colon = strchr(kind_and_path, ':');
  if (colon == NULL) fail(0, "not a kind and a path of a namespace:", kind_and_path);
  int fd = open(colon + 1, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(errno, "namespace path: open", colon + 1);
  if (setns(fd, flag_of(kind_and_path, (size_t)(colon - kind_and_path))) < 0)
    fail(errno, "failed to setns into", kind_and_path);
  close(fd);
}

void join_proxy(const char *pid) {
  int fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
  if (fd < 0) fail(errno, "cannot find the proxy of the container, process", pid);
  /* setns(2): with a pidfd several at once. The mount namespace brings its root with it. */
  if (setns(fd, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS) < 0)
    fail(errno, "cannot join the namespaces of process", pid);
  close(fd);
}
