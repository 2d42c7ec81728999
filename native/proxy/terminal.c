#define _GNU_SOURCE
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static struct termios saved;
static bool has_saved;

void send_descriptor(const char *path, int fd, const char *name) {
  int connection = connect_unix(path);
  char control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec data = {.iov_base = (void *)name, .iov_len = strlen(name)};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(connection, &message, MSG_NOSIGNAL) < 0) fail(errno, "cannot send a descriptor to", path);
  close(connection);
}

/* The guest's pseudo-terminal does echo, editing and signals; the one on the host must do none of it a second time. */
static void make_raw(bool remember) {
  struct termios settings;
  if (tcgetattr(STDIN_FILENO, &settings) < 0) fail(errno, "cannot use as a terminal:", "standard input");
  if (remember) {
    saved = settings;
    has_saved = true;
  }
  cfmakeraw(&settings);
  if (tcsetattr(STDIN_FILENO, TCSANOW, &settings) < 0) fail(errno, "cannot make raw the terminal on", "standard input");
}

static void open_pty(const struct terminal_request *request) {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || unlockpt(master) < 0) fail(errno, "cannot open", "/dev/ptmx");
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  if (slave < 0) fail(errno, "cannot open the slave of", "/dev/ptmx");
  if (request->rows != 0 && request->columns != 0) {
    struct winsize size = {.ws_row = request->rows, .ws_col = request->columns};
    ioctl(master, TIOCSWINSZ, &size);
  }
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (dup2(slave, fd) < 0) fail(errno, "cannot use the pseudo-terminal as", "standard streams");
  if (slave > STDERR_FILENO) close(slave);
  make_raw(false);
  /* As its controlling terminal, so that a new size of the master arrives as SIGWINCH, and its end as SIGHUP. */
  if (ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0) fail(errno, "cannot take as controlling terminal", "the pseudo-terminal");
  send_descriptor(request->console_socket, master, "/dev/ptmx");
  close(master);
}

void open_terminal(const struct terminal_request *request) {
  if (request->console_socket != NULL)
    open_pty(request);
  else if (request->on_stdio)
    make_raw(true);
}

void restore_terminal(void) {
  if (has_saved) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

void forward_size(int control) {
  struct winsize size;
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 && size.ws_col != 0)
    send_resize_line(control, size.ws_row, size.ws_col);
}
