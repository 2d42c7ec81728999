#define _GNU_SOURCE
#include "proxy.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: tskata-proxy [OPTION...] TOKEN\n"
    "Stands for one guest process. Started by tskata in the state directory of the sandbox.\n"
    "  --terminal               standard input and output are a terminal\n"
    "  --console-socket PATH    make a pseudo-terminal and send its master there\n"
    "  --console-size RxC       its first size: rows x columns\n"
    "  --pidfd-socket PATH      send a pidfd of this process there\n"
    "  --ready-fd N             write READY there once the streams are connected, or ERROR and why not\n";

/* All 64 signals: libc's sets leave out the ones it uses itself, and a caller may send those too. */
static const unsigned long ALL_SIGNALS = ~0UL;

static int block_all_signals(void) {
  if (syscall(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, &ALL_SIGNALS, NULL, sizeof ALL_SIGNALS) < 0)
    fail(errno, "cannot block", "signals");
  int fd = (int)syscall(SYS_signalfd4, -1, &ALL_SIGNALS, sizeof ALL_SIGNALS, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) fail(errno, "cannot read", "signals");
  return fd;
}

/* What the caller left open is not ours: holding it would keep its pipes from ending. */
static void close_inherited(void) {
  unsigned first = STDERR_FILENO + 1;
  if (ready_fd > STDERR_FILENO) {
    if (ready_fd > (int)first) syscall(SYS_close_range, first, ready_fd - 1, 0);
    first = (unsigned)ready_fd + 1;
  }
  syscall(SYS_close_range, first, ~0U, 0);
}

static void send_pidfd(const char *path) {
  int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
  if (pidfd < 0) fail(errno, "cannot open a pidfd for", path);
  send_descriptor(path, pidfd, "pidfd");
  close(pidfd);
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"terminal", no_argument, NULL, 't'},
      {"console-socket", required_argument, NULL, 'c'},
      {"console-size", required_argument, NULL, 's'},
      {"pidfd-socket", required_argument, NULL, 'p'},
      {"ready-fd", required_argument, NULL, 'r'},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  struct terminal_request request = {0};
  const char *pidfd_socket = NULL;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
      case 't': request.on_stdio = true; break;
      case 'c': request.console_socket = optarg; break;
      case 's':
        if (sscanf(optarg, "%hux%hu", &request.rows, &request.columns) != 2) fail(0, "not a size as ROWSxCOLUMNS:", optarg);
        break;
      case 'p': pidfd_socket = optarg; break;
      case 'r': ready_fd = atoi(optarg); break;
      case 'h': fputs(USAGE, stdout); return 0;
      default: fputs(USAGE, stderr); return 2;
    }
  }
  if (optind != argc - 1) {
    fputs(USAGE, stderr);
    return 2;
  }
  const char *token = argv[optind];
  bool terminal = request.on_stdio || request.console_socket != NULL;

  close_inherited();
  /* Before anything else can take long: a signal that comes now waits for the guest process. */
  int signals = block_all_signals();
  if (pidfd_socket != NULL) send_pidfd(pidfd_socket);
  open_terminal(&request);
  int control = attach(token);
  int status = relay(control, signals, token, terminal);
  restore_terminal();
  return status;
}
