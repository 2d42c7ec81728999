/*
 * Plays a container manager (containerd's shim, conmon): becomes a subreaper, runs `create`, and inherits the process that stands
 * for the container. Usage: subreaper PIDFILE COMMAND... Prints "created STATUS" when the command has ended, and, if that was
 * 0, "exited STATUS" once the process of the pid file has, as shells count.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int status_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  setvbuf(stdout, NULL, _IOLBF, 0);
  int status;
  pid_t command = fork();
  if (command == 0) {
    execv(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
  }
  waitpid(command, &status, 0);
  printf("created %d\n", status_of(status));
  if (status != 0) return 0;
  FILE *file = fopen(argv[1], "r");
  int pid;
  if (file == NULL || fscanf(file, "%d", &pid) != 1) return 1;
  pid_t ended;
  while ((ended = waitpid(-1, &status, 0)) != pid)
    if (ended < 0 && errno != EINTR) return 1;
  printf("exited %d\n", status_of(status));
  return 0;
}
