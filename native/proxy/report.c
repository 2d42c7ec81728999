#include "proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ready_fd = -1;

void ready(void) {
  if (ready_fd < 0) return;
  dprintf(ready_fd, "READY\n");
  close(ready_fd);
  ready_fd = -1;
}

_Noreturn void fail(int error, const char *tried, const char *subject) {
  const char *prefix = ready_fd < 0 ? "tskata-proxy: " : "ERROR ";
  const char *separator = error != 0 ? ": " : "";
  const char *text = error != 0 ? strerror(error) : "";
  dprintf(ready_fd < 0 ? STDERR_FILENO : ready_fd, "%s%s %s%s%s\n", prefix, tried, subject, separator, text);
  restore_terminal();
  exit(1);
}
