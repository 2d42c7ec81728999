#define _GNU_SOURCE
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define STDIO_PORT "1025"
#define BUFFER_SIZE 32768
/* How long output may stand still, after the sandbox died, before it is given up: milliseconds. */
#define LAST_DRAIN_MS 100

/* One direction of bytes. An end that is closed is -1. */
struct stream {
  int from, to;
  bool output;   /* towards the caller */
  bool keep_to;  /* a terminal: other streams use it too */
  size_t start, end;
  char buffer[BUFFER_SIZE];
};

/* Static, so that a page counts only once it is used. */
static struct stream streams[3];

/*
 * O_NONBLOCK belongs to the open file, which the caller and its other children share: setting it would break their reads
 * and writes. Pipes and terminals can be opened anew, as a file of our own; sockets take MSG_DONTWAIT instead, and
 * regular files never block.
 */
static int own_nonblocking(int fd, int access) {
  struct stat status;
  if (fstat(fd, &status) < 0 || (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))) return fd;
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int own = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (own < 0) return fd; /* Not allowed, or the other end is gone: the old one does, if less well. */
  dup2(own, fd);
  close(own);
  return fd;
}

static ssize_t read_some(int fd, char *buffer, size_t size) {
  ssize_t got = recv(fd, buffer, size, MSG_DONTWAIT);
  return got < 0 && errno == ENOTSOCK ? read(fd, buffer, size) : got;
}

static ssize_t write_some(int fd, const char *buffer, size_t size) {
  ssize_t put = send(fd, buffer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  return put < 0 && errno == ENOTSOCK ? write(fd, buffer, size) : put;
}

static bool is_transient(int error) { return error == EAGAIN || error == EINTR; }

/* No more bytes will come: passes the end of file on. */
static void end_stream(struct stream *stream) {
  if (stream->output) {
    if (!stream->keep_to) close(stream->to);
  } else {
    shutdown(stream->to, SHUT_WR); /* Half: the guest's answer may still be on its way. */
    if (!stream->keep_to) close(stream->from);
  }
  stream->from = stream->to = -1;
}

/* Nobody takes the bytes any more: tells the writer so. */
static void break_stream(struct stream *stream) {
  if (stream->output) {
    /* A full shutdown is what the guest's writer sees as a broken pipe. */
    shutdown(stream->from, SHUT_RDWR);
    if (!stream->keep_to) close(stream->to);
  } else if (!stream->keep_to) {
    close(stream->from);
  }
  stream->from = stream->to = -1;
}

static void fill(struct stream *stream) {
  ssize_t got = read_some(stream->from, stream->buffer, BUFFER_SIZE);
  if (got > 0) {
    stream->start = 0;
    stream->end = (size_t)got;
  } else if (got == 0 || !is_transient(errno)) {
    end_stream(stream); /* EIO is how a terminal says that its other end is gone. */
  }
}

static void drain(struct stream *stream) {
  ssize_t put = write_some(stream->to, stream->buffer + stream->start, stream->end - stream->start);
  if (put >= 0)
    stream->start += (size_t)put;
  else if (!is_transient(errno))
    break_stream(stream);
}

static bool holds_bytes(const struct stream *stream) { return stream->start < stream->end; }

static void serve(struct stream *stream, short from_events, short to_events) {
  if (stream->from < 0) return;
  if (!holds_bytes(stream)) {
    if ((to_events & (POLLERR | POLLHUP)) != 0)
      break_stream(stream);
    else if (from_events != 0)
      fill(stream);
  }
  /* Most often there is room at once, and that saves a poll. */
  if (stream->from >= 0 && holds_bytes(stream)) drain(stream);
}

static int open_guest_stream(const char *token, const char *name) {
  int fd = connect_unix("vsock.sock");
  char line[256];
  dprintf(fd, "CONNECT " STDIO_PORT "\n");
  if (!read_line(fd, line, sizeof line) || strncmp(line, "OK ", 3) != 0)
    fail(0, "the guest's agent does not answer on vsock port " STDIO_PORT " for", name);
  dprintf(fd, "%s %s\n", token, name);
  return fd;
}

void open_streams(const char *token, bool terminal) {
  own_nonblocking(STDIN_FILENO, terminal ? O_RDWR : O_RDONLY);
  own_nonblocking(STDOUT_FILENO, terminal ? O_RDWR : O_WRONLY);
  if (terminal) {
    int guest = open_guest_stream(token, "terminal");
    streams[0] = (struct stream){.from = STDIN_FILENO, .to = guest, .keep_to = true};
    streams[1] = (struct stream){.from = guest, .to = STDOUT_FILENO, .output = true, .keep_to = true};
    streams[2] = (struct stream){.from = -1, .to = -1, .output = true};
    return;
  }
  own_nonblocking(STDERR_FILENO, O_WRONLY);
  streams[0] = (struct stream){.from = STDIN_FILENO, .to = open_guest_stream(token, "stdin")};
  streams[1] = (struct stream){.from = open_guest_stream(token, "stdout"), .to = STDOUT_FILENO, .output = true};
  streams[2] = (struct stream){.from = open_guest_stream(token, "stderr"), .to = STDERR_FILENO, .output = true};
}

static void forward_signals(int signals, int control, bool terminal) {
  struct signalfd_siginfo info;
  while (read(signals, &info, sizeof info) == sizeof info) {
    /* Our own writes to a pipe that nobody reads raise SIGPIPE here: that one is not the guest's. */
    if (info.ssi_signo == SIGPIPE && info.ssi_pid == (unsigned)getpid()) continue;
    if (info.ssi_signo == SIGWINCH && terminal)
      forward_size(control);
    else
      send_signal_line(control, info.ssi_signo);
  }
}

int relay(int control, int signals, bool terminal) {
  if (terminal) forward_size(control);
  int status = -1; /* not known yet */
  bool lost = false, had_output = false;
  while (status < 0 || streams[1].from >= 0 || streams[2].from >= 0) {
    struct pollfd fds[8] = {{.fd = signals, .events = POLLIN}, {.fd = lost || status >= 0 ? -1 : control, .events = POLLIN}};
    for (int index = 0; index < 3; index++) {
      struct stream *stream = &streams[index];
      bool full = holds_bytes(stream);
      fds[2 + 2 * index] = (struct pollfd){.fd = full ? -1 : stream->from, .events = POLLIN};
      fds[3 + 2 * index] = (struct pollfd){.fd = stream->to, .events = full ? POLLOUT : 0};
    }
    int count = poll(fds, 8, lost ? LAST_DRAIN_MS : -1);
    if (count < 0 && errno != EINTR) fail(errno, "cannot wait for", "the streams");
    if (count == 0) break;
    if (fds[1].revents != 0) {
      int answer = receive_exit(control);
      lost = answer == -2;
      if (answer != -1) status = lost ? STATUS_LOST : answer;
      if (status >= 0 && streams[0].from >= 0) break_stream(&streams[0]); /* Nobody is left to read it. */
    }
    if (fds[0].revents != 0) forward_signals(signals, control, terminal);
    for (int index = 0; index < 3; index++) {
      serve(&streams[index], fds[2 + 2 * index].revents, fds[3 + 2 * index].revents);
      if (streams[index].output && streams[index].end > 0 && !had_output) {
        had_output = true;
        send_output_line(control);
      }
    }
  }
  return status;
}
