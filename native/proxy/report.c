#include "proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The first one behind the standard streams. */
int starter_fd = STDERR_FILENO + 1;

/* A starter that is gone is no reason for SIGPIPE. */
static void tell_starter(const char *line) { send(starter_fd, line, strlen(line), MSG_NOSIGNAL); }

void placed(void) { tell_starter("PLACED\n"); }

void ready(void) {
  tell_starter("READY\n");
  close(starter_fd);
  starter_fd = -1;
}

_Noreturn void fail(int error, const char *tried, const char *subject) {
  const char *separator = error != 0 ? ": " : "";
  const char *text = error != 0 ? strerror(error) : "";
  char line[512];
  snprintf(line, sizeof line - 1, "ERROR %s %s%s%s", tried, subject, separator, text);
  strcat(line, "\n");
  if (starter_fd >= 0)
    tell_starter(line);
  else
    dprintf(STDERR_FILENO, "tskata-proxy: %s", line + strlen("ERROR "));
  restore_terminal();
  exit(1);
}
