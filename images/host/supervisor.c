/*
 * PID 1 of the emulated host: runs the commands that the outside sends through one virtio-serial port, reaps orphans.
 *
 * In C because it must be there before any file system of the project is, and give the command real pipes and a real
 * terminal (Node would give it sockets, which cannot be opened again through /dev/stdout).
 *
 * The port carries frames in both directions: u32 type, u32 payload length (little-endian), payload.
 * scripts/lib/host-protocol.ts is the other end; host-protocol.test.ts compares the numbers below with it.
 * One command runs at a time. Input flows by credit, so that a command that does not read its input never keeps a
 * FRAME_SIGNAL from coming through.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

/* From the outside. */
#define FRAME_RUN 1          /* strings, each ended by NUL: "pipes" or "ROWSxCOLUMNS", folder, number of variables, variables, arguments */
#define FRAME_INPUT 2        /* bytes for the command's standard input */
#define FRAME_INPUT_END 3
#define FRAME_SIGNAL 4       /* u32: sent to the command's process group */
#define FRAME_WINDOW_SIZE 5  /* u32 rows, u32 columns */
#define FRAME_WAKE 6         /* asks for nothing: the interrupt that brings it wakes a processor that has lost one */
/* To the outside. */
#define FRAME_READY 16       /* the supervisor waits for FRAME_RUN */
#define FRAME_STDOUT 17
#define FRAME_STDERR 18
#define FRAME_CREDIT 19      /* u32: so many bytes of input were taken */
#define FRAME_EXIT 20        /* u32: exit status, or 128 + signal */

#define KVM_CREATE_VM 0xae01 /* linux/kvm.h, which musl does not bring */
#define INPUT_CREDIT 65536   /* bytes of input that may be under way */
#define MAX_PAYLOAD 4194304  /* more than the kernel takes as arguments and environment by default */

static int port;

static void die(const char *what) {
  fprintf(stderr, "supervisor: %s: %s\n", what, strerror(errno));
  _exit(1); /* PID 1 ends: the kernel panics, QEMU ends, and the outside shows this console */
}

static void write_port(const void *data, size_t length) {
  const char *at = data;
  while (length > 0) {
    ssize_t written = write(port, at, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) die("write to the port");
    at += written;
    length -= (size_t)written;
  }
}

static void read_port(void *data, size_t length) {
  char *at = data;
  while (length > 0) {
    ssize_t got = read(port, at, length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) die("read from the port");
    at += got;
    length -= (size_t)got;
  }
}

static void send_frame(uint32_t type, const void *payload, uint32_t length) {
  uint32_t header[2] = {type, length};
  write_port(header, sizeof header);
  write_port(payload, length);
}

static void send_number(uint32_t type, uint32_t number) { send_frame(type, &number, sizeof number); }

/* The command that runs, if any (pid > 0). Descriptors are -1 when closed; with a terminal, in and out are the same. */
static struct {
  pid_t pid;
  int in, out, err;
  int slave; /* of a terminal: kept open, so that the master never reports a hang-up while the command runs */
  int status; /* of waitpid, once it ended */
  int ended;
  int terminal;
  char pending[INPUT_CREDIT]; /* input that the command has not taken yet */
  size_t pending_from, pending_length;
  int input_ended;
} command = {.in = -1, .out = -1, .err = -1, .slave = -1};

static void close_once(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* In the new process: never returns. Exit statuses 126 and 127 are the shell's. */
static void become(const char *folder, char **variables, char **arguments) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  if (chdir(folder) < 0) {
    fprintf(stderr, "cannot run in %s: %s\n", folder, strerror(errno));
    _exit(126);
  }
  clearenv();
  for (; *variables; variables++) putenv(*variables);
  execvp(arguments[0], arguments);
  fprintf(stderr, "cannot run %s: %s\n", arguments[0], strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

/*
 * Keeps one empty VM for as long as the host lives. With the first VM, and with the end of the last, KVM switches the
 * preempt notifiers in schedule() on and off (a static key), which patches code that all processors are running; under
 * emulation with a thread per processor that has ended in "Oops: int3" in __schedule().
 */
static void keep_a_vm(void) {
  static int vm = -1;
  if (vm >= 0) return;
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return; /* before setup.sh has loaded the module */
  vm = ioctl(kvm, KVM_CREATE_VM, 0);
  close(kvm);
}

static void start_command(char *payload, uint32_t length) {
  keep_a_vm();
  size_t count = 0;
  for (uint32_t i = 0; i < length; i++) count += payload[i] == 0;
  char **strings = calloc(count + 2, sizeof *strings); /* one NULL behind the variables, one behind the arguments */
  if (!strings || count < 4 || payload[length - 1] != 0) die("FRAME_RUN");
  const char *mode = payload, *folder = mode + strlen(mode) + 1, *number = folder + strlen(folder) + 1;
  size_t variable_count = strtoul(number, NULL, 10);
  if (variable_count > count - 4) die("FRAME_RUN");
  char *at = (char *)number + strlen(number) + 1;
  for (size_t i = 0; i < count - 3; i++, at += strlen(at) + 1) strings[i < variable_count ? i : i + 1] = at;

  struct winsize size = {0};
  int pipes[3][2];
  int terminal = sscanf(mode, "%hux%hu", &size.ws_row, &size.ws_col) == 2;
  int master = -1, slave = -1;
  if (terminal) {
    if (openpty(&master, &slave, NULL, NULL, &size) < 0) die("openpty");
  } else {
    for (int i = 0; i < 3; i++)
      if (pipe2(pipes[i], O_CLOEXEC) < 0) die("pipe2");
  }
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    if (terminal) {
      close(master);
      login_tty(slave);
    } else {
      setsid(); /* a process group of its own, for FRAME_SIGNAL */
      dup2(pipes[0][0], 0);
      dup2(pipes[1][1], 1);
      dup2(pipes[2][1], 2);
    }
    become(folder, strings, strings + variable_count + 1);
  }
  if (terminal) {
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(slave, F_SETFD, FD_CLOEXEC);
    command.in = command.out = master;
    command.slave = slave;
  } else {
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    command.in = pipes[0][1];
    command.out = pipes[1][0];
    command.err = pipes[2][0];
    fcntl(command.err, F_SETFL, O_NONBLOCK);
  }
  fcntl(command.in, F_SETFL, O_NONBLOCK);
  fcntl(command.out, F_SETFL, O_NONBLOCK);
  command.pid = pid;
  command.terminal = terminal;
  command.ended = command.input_ended = 0;
  command.pending_from = command.pending_length = 0;
  free(strings);
}

/* Gives the command what it takes of the pending input; drops it when the command reads no more. */
static void feed_command(void) {
  while (command.pending_length > 0) {
    ssize_t taken = (ssize_t)command.pending_length;
    if (command.in >= 0) taken = write(command.in, command.pending + command.pending_from, command.pending_length);
    if (taken < 0 && errno == EINTR) continue;
    if (taken < 0 && errno == EAGAIN) return;
    if (taken < 0) { /* EPIPE, EIO: nobody reads */
      taken = (ssize_t)command.pending_length;
      if (!command.terminal) close_once(&command.in);
    }
    command.pending_from += (size_t)taken;
    command.pending_length -= (size_t)taken;
    send_number(FRAME_CREDIT, (uint32_t)taken);
  }
  command.pending_from = 0;
  if (command.input_ended && !command.terminal) close_once(&command.in);
}

/* Passes on what is there; 0 when nothing is at the moment, and the descriptor is closed when nothing will come. */
static int drain(int *fd, uint32_t type) {
  static char buffer[65536];
  if (*fd < 0) return 0;
  ssize_t got = read(*fd, buffer, sizeof buffer);
  if (got > 0) {
    send_frame(type, buffer, (uint32_t)got);
    return 1;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  close_once(fd);
  return 0;
}

static void end_command(void) {
  while (drain(&command.out, FRAME_STDOUT)) continue;
  while (drain(&command.err, FRAME_STDERR)) continue;
  if (command.terminal) command.in = -1;
  close_once(&command.in);
  close_once(&command.out);
  close_once(&command.err);
  close_once(&command.slave);
  command.pid = 0;
  sync(); /* the outside ends this machine without further notice, and its shared folders are the outside's own */
  send_number(FRAME_EXIT, WIFEXITED(command.status) ? (uint32_t)WEXITSTATUS(command.status)
                                                    : 128 + (uint32_t)WTERMSIG(command.status));
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid != command.pid) continue;
    command.status = status;
    command.ended = 1;
  }
}

static void take_frame(void) {
  uint32_t header[2];
  read_port(header, sizeof header);
  uint32_t type = header[0], length = header[1];
  if (length > MAX_PAYLOAD) die("frame length");
  char *payload = malloc(length + 1);
  if (!payload) die("malloc");
  read_port(payload, length);
  uint32_t numbers[2] = {0};
  memcpy(numbers, payload, length < sizeof numbers ? length : sizeof numbers);
  if (type == FRAME_RUN && command.pid == 0) {
    start_command(payload, length);
  } else if (type == FRAME_INPUT && command.pid > 0) {
    if (command.pending_from + command.pending_length + length > sizeof command.pending) {
      memmove(command.pending, command.pending + command.pending_from, command.pending_length);
      command.pending_from = 0;
    }
    if (command.pending_length + length > sizeof command.pending) die("more input than credit");
    memcpy(command.pending + command.pending_from + command.pending_length, payload, length);
    command.pending_length += length;
    feed_command();
  } else if (type == FRAME_INPUT_END && command.pid > 0) {
    command.input_ended = 1;
    feed_command();
  } else if (type == FRAME_SIGNAL && command.pid > 0) {
    kill(-command.pid, (int)numbers[0]);
  } else if (type == FRAME_WINDOW_SIZE && command.terminal && command.in >= 0) {
    struct winsize size = {.ws_row = (unsigned short)numbers[0], .ws_col = (unsigned short)numbers[1]};
    ioctl(command.in, TIOCSWINSZ, &size);
  } /* the rest came too late for a command that has ended */
  free(payload);
}

/* The only virtio-serial port of the machine; the number in its name depends on the other devices. It appears late. */
static int open_port(void) {
  for (int tries = 0; tries < 6000; tries++) {
    glob_t found;
    if (glob("/dev/vport*p*", 0, NULL, &found) == 0) return open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
    usleep(10000);
  }
  errno = ENODEV;
  return -1;
}

int main(void) {
  port = open_port();
  if (port < 0) die("open the virtio-serial port");
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  int children = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (children < 0) die("signalfd");
  send_frame(FRAME_READY, "", 0);
  for (;;) {
    struct pollfd fds[] = {
        {.fd = port, .events = POLLIN},
        {.fd = children, .events = POLLIN},
        {.fd = command.out, .events = POLLIN},
        {.fd = command.err, .events = POLLIN},
        {.fd = command.pending_length > 0 ? command.in : -1, .events = POLLOUT},
    };
    if (poll(fds, sizeof fds / sizeof *fds, -1) < 0) {
      if (errno == EINTR) continue;
      die("poll");
    }
    if (fds[0].revents & POLLIN) take_frame();
    else if (fds[0].revents & POLLHUP) die("the outside has gone");
    if (fds[2].revents) drain(&command.out, FRAME_STDOUT);
    if (fds[3].revents) drain(&command.err, FRAME_STDERR);
    if (fds[4].revents) feed_command();
    if (fds[1].revents) {
      struct signalfd_siginfo info;
      while (read(children, &info, sizeof info) > 0) continue;
      reap();
    }
    if (command.ended && command.pid > 0) end_command();
  }
}
