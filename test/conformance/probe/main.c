/*
 * The program in the containers of the conformance suite: it looks at itself, tries things, and prints what it found.
 *
 * Usage: probe COMMAND... Each argument is one command, words with spaces between: "stat /dev/null". Printed is one JSON object
 * with a member for each command. "to FILE" prints there from then on; "exit STATUS" ends the program. look.c and try.c have
 * the commands. What fails is the name of its errno: "EPERM".
 */
#include "probe.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int program_argc;
char **program_argv;

void print_string(const char *bytes, size_t length) {
  putchar('"');
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c == '"' || c == '\\') printf("\\%c", c);
    else if (c < ' ') printf("\\u%04x", c);
    else putchar(c);
  }
  putchar('"');
}

void print_text(const char *text) { print_string(text, strlen(text)); }

const char *error_name(int error) {
#define NAME(e) case e: return #e;
  switch (error) {
    NAME(E2BIG) NAME(EACCES) NAME(EADDRNOTAVAIL) NAME(EAFNOSUPPORT) NAME(EAGAIN) NAME(EBADF) NAME(EBUSY) NAME(ECHILD)
    NAME(ECONNREFUSED) NAME(ECONNRESET) NAME(EEXIST) NAME(EFAULT) NAME(EFBIG) NAME(EINTR) NAME(EINVAL) NAME(EIO) NAME(EISDIR)
    NAME(ELOOP) NAME(EMFILE) NAME(EMLINK) NAME(ENAMETOOLONG) NAME(ENETDOWN) NAME(ENETUNREACH) NAME(ENODATA) NAME(ENODEV)
    NAME(ENOENT) NAME(ENOEXEC) NAME(ENOKEY) NAME(ENOMEM) NAME(ENOSPC) NAME(ENOSYS) NAME(ENOTBLK) NAME(ENOTCONN)
    NAME(ENOTDIR) NAME(ENOTEMPTY) NAME(ENOTTY) NAME(ENXIO) NAME(EOPNOTSUPP) NAME(EOVERFLOW) NAME(EPERM) NAME(EPIPE)
    NAME(EPROTONOSUPPORT) NAME(ERANGE) NAME(EROFS) NAME(ESPIPE) NAME(ESRCH) NAME(ETIMEDOUT) NAME(ETXTBSY) NAME(EUSERS)
    NAME(EXDEV)
  }
#undef NAME
  static char number[24];
  snprintf(number, sizeof number, "errno %d", error);
  return number;
}

void print_error(int error) { print_text(error_name(error)); }

void print_outcome(long result) {
  if (result < 0) print_error(errno);
  else print_text("ok");
}

ssize_t read_file(const char *path, char **text) {
  static char buffer[MAX_TEXT + 1];
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -1;
  size_t length = 0;
  ssize_t count;
  while (length < MAX_TEXT && (count = read(fd, buffer + length, MAX_TEXT - length)) > 0) length += (size_t)count;
  int error = errno;
  close(fd);
  errno = error;
  if (length == 0 && count < 0) return -1;
  buffer[length] = 0;
  *text = buffer;
  return (ssize_t)length;
}

static const struct action *find(const char *name) {
  for (const struct action *a = looks; a->name; a++) if (strcmp(a->name, name) == 0) return a;
  for (const struct action *a = tries; a->name; a++) if (strcmp(a->name, name) == 0) return a;
  return NULL;
}

static void run(const char *text, const char *separator) {
  struct command command = {.text = text, .rest = ""};
  char *copy = strdup(text);
  for (char *word = strtok(copy, " "); word && command.count < MAX_WORDS; word = strtok(NULL, " ")) {
    command.words[command.count++] = word;
  }
  if (command.count > 2) command.rest = text + (command.words[2] - copy);
  const char *name = command.count > 0 ? command.words[0] : "";
  if (strcmp(name, "to") == 0 && command.count == 2) {
    if (!freopen(command.words[1], "w", stdout)) exit(100);
    putchar('{');
    return;
  }
  const struct action *action = find(name);
  printf("%s\n", separator);
  print_text(text);
  printf(": ");
  fflush(stdout);
  if (!action || command.count < action->words) print_text(action ? "too few words" : "no such command");
  else action->run(&command);
  fflush(stdout);
  free(copy);
}

static int ends(const char *text) { return strncmp(text, "exit ", 5) == 0; }

void run_list(const char *list) {
  char *copy = strdup(list), *rest = copy, *text;
  const char *separator = "{";
  while ((text = strsep(&rest, "|"))) {
    if (ends(text)) exit((printf("%s", *separator == '{' ? "{}\n" : "}\n"), atoi(text + 5)));
    run(text, separator);
    separator = strncmp(text, "to ", 3) == 0 ? "" : ",";
  }
  printf("}\n");
  free(copy);
}

int main(int argc, char **argv) {
  program_argc = argc;
  program_argv = argv;
  size_t length = 1;
  for (int i = 1; i < argc; i++) length += strlen(argv[i]) + 1;
  char *list = calloc(1, length);
  for (int i = 1; i < argc; i++) strcat(strcat(list, i > 1 ? "|" : ""), argv[i]);
  run_list(list);
  return ferror(stdout) != 0;
}
