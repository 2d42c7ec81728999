#include "proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The longest line that is understood, its line feed included. */
#define LINE_SIZE 512

int connect_unix(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) fail(ENAMETOOLONG, "cannot connect to", path);
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(errno, "cannot make a socket for", path);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(errno, "cannot connect to", path);
  return fd;
}

/* Byte by byte: what follows the line belongs to someone else. Such lines come a few times in a process's life. */
bool read_line(int fd, char *line, size_t size) {
  size_t length = 0;
  while (length < size) {
    ssize_t got = read(fd, line + length, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    if (line[length] == '\n') {
      line[length] = '\0';
      return true;
    }
    length++;
  }
  return false;
}

static void send_line(int control, const char *line) {
  size_t length = strlen(line), sent = 0;
  while (sent < length) {
    ssize_t count = send(control, line + sent, length - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return; /* The sandbox is gone: the next receive_exit says so. */
    sent += (size_t)count;
  }
}

int attach(const char *token) {
  int control = connect_unix("proxy.sock");
  char line[LINE_SIZE];
  snprintf(line, sizeof line, "ATTACH %s %d\n", token, (int)getpid());
  send_line(control, line);
  if (!read_line(control, line, sizeof line)) fail(0, "the sandbox closed the connection before it answered", "ATTACH");
  if (strncmp(line, "ERROR ", 6) == 0) fail(0, "the sandbox refused:", line + 6);
  if (strcmp(line, "OK") != 0) fail(0, "the sandbox answered ATTACH with", line);
  return control;
}

void send_signal_line(int control, unsigned signal_number) {
  char line[LINE_SIZE];
  snprintf(line, sizeof line, "SIGNAL %u\n", signal_number);
  send_line(control, line);
}

void send_resize_line(int control, unsigned rows, unsigned columns) {
  char line[LINE_SIZE];
  snprintf(line, sizeof line, "RESIZE %u %u\n", rows, columns);
  send_line(control, line);
}

void send_output_line(int control) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  char line[LINE_SIZE];
  snprintf(line, sizeof line, "OUTPUT %llu\n", (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec);
  send_line(control, line);
}

int receive_exit(int control) {
  static char line[LINE_SIZE];
  static size_t length;
  ssize_t got = recv(control, line + length, sizeof line - 1 - length, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
  if (got <= 0) return -2;
  length += (size_t)got;
  line[length] = '\0';
  if (strchr(line, '\n') == NULL) return length == sizeof line - 1 ? -2 : -1;
  char *end;
  unsigned long status = strncmp(line, "EXIT ", 5) == 0 ? strtoul(line + 5, &end, 10) : STATUS_LOST;
  return status <= 255 ? (int)status : STATUS_LOST;
}
