#define _GNU_SOURCE
#include "proxy.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

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
static void close_inherited(void) { syscall(SYS_close_range, (unsigned)starter_fd + 1, ~0U, 0); }

/* As ps(1) and top(1) name us: our arguments are those of the process in the guest. */
static void take_name(const char *program) {
  const char *slash = strrchr(program, '/');
  prctl(PR_SET_NAME, slash == NULL ? program : slash + 1);
}

static void send_pidfd(const char *path) {
  int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
  if (pidfd < 0) fail(errno, "cannot open a pidfd for", path);
  send_descriptor(path, pidfd, "pidfd");
  close(pidfd);
}

struct request {
  const char *token, *pidfd_socket, *join_proxy;
  struct terminal_request terminal;
  struct root_request root;
};

static void add_volume(struct root_request *root, const struct volume *volume) {
  root->volumes = realloc(root->volumes, (root->count + 1) * sizeof *volume);
  if (root->volumes == NULL) fail(ENOMEM, "cannot keep", volume->source);
  root->volumes[root->count++] = *volume;
}

static void set_flag(struct volume *volume, const char *flag) {
  if (strcmp(flag, "ro") == 0) volume->read_only = true;
  if (strcmp(flag, "rbind") == 0) volume->recursive = true;
}

/* README.md has the meaning of each. Namespaces are entered as they come. */
static void take_request(struct request *request) {
  static const struct option options[] = {
      {"token", required_argument, NULL, 't'},          {"terminal", no_argument, NULL, 'T'},
      {"console-socket", required_argument, NULL, 'c'}, {"console-size", required_argument, NULL, 's'},
      {"pidfd-socket", required_argument, NULL, 'p'},   {"new", required_argument, NULL, 'n'},
      {"join", required_argument, NULL, 'j'},           {"join-proxy", required_argument, NULL, 'J'},
      {"root", required_argument, NULL, 'r'},           {"read-only-root", no_argument, NULL, 'R'},
      {"source", required_argument, NULL, 'S'},         {"flag", required_argument, NULL, 'F'},
      {"target", required_argument, NULL, 'D'},         {NULL, 0, NULL, 0},
  };
  int count;
  char **arguments = read_request(&count);
  struct volume volume = {0};
  opterr = 0;
  for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
    switch (option) {
      case 't': request->token = optarg; break;
      case 'T': request->terminal.on_stdio = true; break;
      case 'c': request->terminal.console_socket = optarg; break;
      case 's':
        if (sscanf(optarg, "%hux%hu", &request->terminal.rows, &request->terminal.columns) != 2)
          fail(0, "not a size as ROWSxCOLUMNS:", optarg);
        break;
      case 'p': request->pidfd_socket = optarg; break;
      case 'n': make_namespace(optarg); break;
      case 'j': join_namespace(optarg); break;
      case 'J': request->join_proxy = optarg; break;
      case 'r': request->root.path = optarg; break;
      case 'R': request->root.read_only = true; break;
      case 'S': volume = (struct volume){.source = optarg}; break;
      case 'F': set_flag(&volume, optarg); break;
      case 'D':
        volume.target = optarg;
        add_volume(&request->root, &volume);
        break;
      default: fail(0, "this proxy is of another version than its starter: it does not know", arguments[optind - 1]);
    }
  }
  if (request->token == NULL) fail(0, "the request has no", "--token");
}

int main(int argc, char **argv) {
  close_inherited();
  /* Before anything else can take long: a signal that comes now waits for the guest process. */
  int signals = block_all_signals();
  if (argc > 0) take_name(argv[0]);
  struct request request = {0};
  take_request(&request);
  placed();
  bool terminal = request.terminal.on_stdio || request.terminal.console_socket != NULL;
  if (request.pidfd_socket != NULL) send_pidfd(request.pidfd_socket);
  open_terminal(&request.terminal);
  int control = attach(request.token);
  open_streams(request.token, terminal);
  /* Last, as the sandbox's sockets are not in there. */
  if (request.join_proxy != NULL) join_proxy(request.join_proxy);
  enter_root(&request.root);
  ready();
  int status = relay(control, signals, terminal);
  restore_terminal();
  return status;
}
