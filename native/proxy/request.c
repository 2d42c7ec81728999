#include "proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two paths for each volume: more than any configuration has. */
#define REQUEST_SIZE_MAX (1U << 20)

static char *read_all(size_t *length) {
  size_t size = 4096;
  char *text = malloc(size);
  for (*length = 0; text != NULL;) {
    ssize_t got = read(starter_fd, text + *length, size - *length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(errno, "cannot read", "the request");
    if (got == 0) fail(0, "the starter has gone before it sent", "the request");
    *length += (size_t)got;
    if (text[*length - 1] == '\0' && (*length == 1 || text[*length - 2] == '\0')) return text;
    if (*length < size) continue;
    if (size >= REQUEST_SIZE_MAX) break;
    size *= 2;
    text = realloc(text, size);
  }
  fail(E2BIG, "cannot read", "the request");
}

char **read_request(int *count) {
  size_t length;
  char *text = read_all(&length);
  *count = 1;
  for (const char *next = text; *next != '\0'; next += strlen(next) + 1) ++*count;
  char **arguments = calloc((size_t)*count + 1, sizeof *arguments);
  if (arguments == NULL) fail(ENOMEM, "cannot read", "the request");
  arguments[0] = "tskata-proxy";
  for (int index = 1; index < *count; index++, text += strlen(text) + 1) arguments[index] = text;
  return arguments;
}
