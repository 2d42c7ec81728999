/*
 * Plays the caller of a runtime at a console socket: takes the terminal's master that is sent there (SCM_RIGHTS), then copies
 * standard input to it and what comes out of it to standard output. Node cannot receive descriptors.
 * Usage: console-holder SOCKET [ROWS COLUMNS]. A line "name NAME" with the message's text comes first; the size is set when
 * standard input ends.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int receive_master(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0) return -1;
  puts("listening");
  fflush(stdout);
  int connection = accept(listener, NULL, NULL);
  char name[256] = "", control[CMSG_SPACE(sizeof(int))];
  struct iovec data = {.iov_base = name, .iov_len = sizeof name - 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(connection, &message, 0) < 0 || CMSG_FIRSTHDR(&message) == NULL) return -1;
  int master;
  memcpy(&master, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof master);
  printf("name %s\n", name);
  fflush(stdout);
  return master;
}

int main(int argc, char **argv) {
  int master = argc > 1 ? receive_master(argv[1]) : -1;
  if (master < 0) return 1;
  struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = master, .events = POLLIN}};
  char buffer[4096];
  while (poll(fds, 2, -1) >= 0) {
    if (fds[0].revents != 0) {
      ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
      if (got > 0) {
        if (write(master, buffer, (size_t)got) < 0) return 1;
      } else {
        fds[0].fd = -1;
        struct winsize size = {.ws_row = argc > 3 ? (unsigned short)atoi(argv[2]) : 0, .ws_col = argc > 3 ? (unsigned short)atoi(argv[3]) : 0};
        if (argc > 3) ioctl(master, TIOCSWINSZ, &size);
      }
    }
    if (fds[1].revents != 0) {
      ssize_t got = read(master, buffer, sizeof buffer);
      if (got <= 0) return 0; /* EIO: the other side is gone */
      if (write(STDOUT_FILENO, buffer, (size_t)got) < 0) return 1;
    }
  }
  return 1;
}
