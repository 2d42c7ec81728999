/*
 * Starts a VMM and waits for its guest: what must not cost what a scripting language costs, because one processor may have to do
 * for all. Usage: bench-host LISTEN... -- COMMAND...
 * LISTEN is vsock (ports of this host), unix:PREFIX (sockets PREFIX1024 and PREFIX1025) or tcp:ADDRESS (the bulk port only).
 * Prints, each as a line: "started PID NS" (CLOCK_MONOTONIC, just before), "connected NS" (since then, when a guest's first
 * program reaches the control port), what the guests report, "ended STATUS" as shells count. The end of standard input ends the
 * VMM.
 */
#include "peer.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#define MAXIMUM_LISTENERS 8
#define MAXIMUM_SOCKETS 40
#define GRACE_MS 5000

struct listener {
  int fd;
  int is_bulk;
};
static struct listener listeners[MAXIMUM_LISTENERS];
static int listener_count;

static void listen_at(const struct sockaddr *address, socklen_t size, int is_bulk) {
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int on = 1;
  if (fd < 0 || listener_count == MAXIMUM_LISTENERS) fail("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, address, size) < 0 || listen(fd, 4) < 0) fail("listen");
  listeners[listener_count++] = (struct listener){fd, is_bulk};
}

static void add_listeners(const char *where) {
  for (int is_bulk = 0; is_bulk < 2; is_bulk++) {
    unsigned port = is_bulk ? BULK_PORT : CONTROL_PORT;
    if (strcmp(where, "vsock") == 0) {
      struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY};
      listen_at((struct sockaddr *)&address, sizeof(address), is_bulk);
    } else if (strncmp(where, "unix:", 5) == 0) {
      struct sockaddr_un address = {.sun_family = AF_UNIX};
      snprintf(address.sun_path, sizeof(address.sun_path), "%s%u", where + 5, port);
      unlink(address.sun_path);
      listen_at((struct sockaddr *)&address, sizeof(address), is_bulk);
    } else if (strncmp(where, "tcp:", 4) == 0) {
      struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(BULK_PORT)};
      if (inet_pton(AF_INET, where + 4, &address.sin_addr) != 1) fail(where);
      if (is_bulk) listen_at((struct sockaddr *)&address, sizeof(address), is_bulk);
    } else {
      fprintf(stderr, "%s is not vsock, unix:PREFIX or tcp:ADDRESS\n", where);
      exit(2);
    }
  }
}

static void serve_bulk(int fd) {
  static char buffer[BULK_BUFFER_SIZE];
  struct bulk_order order;
  int failed = 0;
  while (!failed && read_all(fd, &order, sizeof(order)) == 0) {
    if (order.operation == 'S') failed = receive_bulk(fd, buffer, order.count) || write_all(fd, "", 1);
    else if (order.operation == 'R') failed = send_bulk(fd, buffer, order.count);
    else
      for (uint64_t i = 0; !failed && i < order.count; i++) failed = read_all(fd, buffer, 1) || write_all(fd, buffer, 1);
  }
  close(fd);
}

static pid_t start(char **command) {
  pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  close(STDIN_FILENO);
  if (open("/dev/null", O_RDONLY) < 0) _exit(127);
  execv(command[0], command);
  perror(command[0]);
  _exit(127);
}

/* Prints what a guest reports; -1 when it has hung up. */
static int relay(int fd) {
  char text[4096];
  ssize_t count = read(fd, text, sizeof(text));
  if (count > 0) return write_all(STDOUT_FILENO, text, (size_t)count);
  close(fd);
  return -1;
}

int main(int argc, char **argv) {
  int at = 1;
  for (; at < argc && strcmp(argv[at], "--") != 0; at++) add_listeners(argv[at]);
  if (at + 1 >= argc) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);

  uint64_t started = now_ns();
  pid_t pid = start(argv + at + 1);
  int process = (int)syscall(SYS_pidfd_open, pid, 0);
  if (process < 0) fail("pidfd_open");
  printf("started %d %llu\n", pid, (unsigned long long)started);
  enum { INPUT, CHILD, SOCKETS };
  struct pollfd polled[SOCKETS + MAXIMUM_SOCKETS] = {
      [INPUT] = {.fd = STDIN_FILENO, .events = POLLIN},
      [CHILD] = {.fd = process, .events = POLLIN},
  };
  nfds_t count = SOCKETS;
  for (int i = 0; i < listener_count; i++) polled[count++] = (struct pollfd){listeners[i].fd, POLLIN, 0};
  int timeout = -1;
  for (;;) {
    int ready = poll(polled, count, timeout);
    if (ready < 0) continue;
    if (ready == 0) kill(pid, SIGKILL);
    if (polled[CHILD].revents != 0) break;
    for (nfds_t i = SOCKETS + (nfds_t)listener_count; i < count; i++)
      if (polled[i].revents != 0 && relay(polled[i].fd) < 0) polled[i].fd = -1;
    for (int i = 0; i < listener_count; i++) {
      int fd = polled[SOCKETS + i].revents == 0 ? -1 : accept(listeners[i].fd, NULL, NULL);
      if (fd < 0) continue;
      if (listeners[i].is_bulk) {
        serve_bulk(fd);
      } else if (count < SOCKETS + MAXIMUM_SOCKETS) {
        printf("connected %llu\n", (unsigned long long)(now_ns() - started));
        polled[count++] = (struct pollfd){fd, POLLIN, 0};
      }
    }
    if (polled[INPUT].revents != 0) {
      polled[INPUT].fd = -1;
      timeout = GRACE_MS;
      kill(pid, SIGTERM);
    }
  }
  int status = 0;
  waitpid(pid, &status, 0);
  printf("ended %d\n", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  return 0;
}
