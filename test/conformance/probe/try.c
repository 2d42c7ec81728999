/* What a process can do, or should not be able to: each prints "ok" or the name of the errno, unless said otherwise. */
#include "probe.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

static long number(const char *text) { return strtol(text, NULL, 0); }

static void print_ending(int status, const char *key) {
  if (WIFSIGNALED(status)) printf("{\"signal\": %d}", WTERMSIG(status));
  else printf("{\"%s\": %d}", key, WEXITSTATUS(status));
}

/* Runs a child to its end and prints what it printed; {"signal"} or {"exit"} when that is nothing or it did not end well. */
static void child(const char *program, const char *list) {
  int ends[2];
  fflush(stdout);
  if (pipe2(ends, O_CLOEXEC) < 0) {
    print_error(errno);
    return;
  }
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], 1);
    if (program) {
      execl(program, program, list, (char *)NULL);
      printf("\"exec: %s\"", error_name(errno));
      fflush(stdout);
      _exit(0);
    }
    run_list(list);
    fflush(stdout);
    _exit(0);
  }
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    print_error(errno);
    return;
  }
  static char text[MAX_TEXT];
  size_t length = 0;
  for (ssize_t count; length < sizeof text && (count = read(ends[0], text + length, sizeof text - length)) > 0;) length += (size_t)count;
  close(ends[0]);
  int status;
  waitpid(pid, &status, 0);
  if (length == 0 || status != 0) print_ending(status, "exit");
  else fwrite(text, 1, length, stdout);
}

/* Another list inside of a command has ';' where the outer one has '|'. */
static void inner(const char *program, const char *commands) {
  char *list = strdup(commands);
  for (char *at = list; *at; at++) if (*at == ';') *at = '|';
  child(program, list);
  free(list);
}

/* fork COMMAND;...: in a child. Prints what it printed; {"signal"} or {"exit"} where it did not end well. */
static void fork_(const struct command *c) { inner(NULL, c->text + strlen("fork ")); }

/* run PROGRAM COMMAND;...: as fork, but by another copy of the probe. */
static void run_(const struct command *c) { inner(c->words[1], c->rest); }

static int flags_of(const char *letters) {
  int flags = strchr(letters, 'w') ? (strchr(letters, 'r') ? O_RDWR : O_WRONLY) : O_RDONLY;
  if (strchr(letters, 'p')) flags |= O_PATH;
  return flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
}

static void open_(const struct command *c) {
  int fd = open(c->words[1], flags_of(c->words[2]));
  print_outcome(fd);
  if (fd >= 0) close(fd);
}

static void write_(const struct command *c) {
  int fd = open(c->words[1], O_WRONLY | O_CLOEXEC);
  print_outcome(fd < 0 ? fd : write(fd, c->rest, strlen(c->rest)));
  if (fd >= 0) close(fd);
}

static void create(const struct command *c) {
  int fd = open(c->words[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  print_outcome(fd < 0 ? fd : write(fd, c->rest, strlen(c->rest)));
  if (fd >= 0) close(fd);
}

static void mkdir_(const struct command *c) { print_outcome(mkdir(c->words[1], 0777)); }
static void unlink_(const struct command *c) { print_outcome(unlink(c->words[1])); }
static void chmod_(const struct command *c) { print_outcome(chmod(c->words[1], (mode_t)strtol(c->words[2], NULL, 8))); }
static void chown_(const struct command *c) { print_outcome(lchown(c->words[1], (uid_t)number(c->words[2]), (gid_t)number(c->words[3]))); }
static void symlink_(const struct command *c) { print_outcome(symlink(c->words[1], c->words[2])); }
static void link_(const struct command *c) { print_outcome(link(c->words[1], c->words[2])); }
static void chdir_(const struct command *c) { print_outcome(chdir(c->words[1])); }
static void umask_(const struct command *c) { umask((mode_t)strtol(c->words[1], NULL, 8)); print_text("ok"); }

static void mknod_(const struct command *c) {
  mode_t type = *c->words[2] == 'b' ? S_IFBLK : *c->words[2] == 'p' ? S_IFIFO : S_IFCHR;
  print_outcome(mknod(c->words[1], type | 0666, makedev(number(c->words[3]), number(c->words[4]))));
}

/* mount SOURCE TARGET TYPE [OPTION,...] */
static void mount_(const struct command *c) {
  static const struct { const char *name; unsigned long flag; } known[] = {
      {"bind", MS_BIND}, {"rbind", MS_BIND | MS_REC}, {"remount", MS_REMOUNT}, {"ro", MS_RDONLY}, {"move", MS_MOVE},
      {"shared", MS_SHARED}, {"private", MS_PRIVATE}, {"rprivate", MS_PRIVATE | MS_REC}, {"slave", MS_SLAVE}};
  unsigned long flags = 0;
  char *options = strdup(c->count > 4 ? c->words[4] : ""), *rest = options, *word;
  while ((word = strsep(&rest, ","))) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) if (strcmp(word, known[i].name) == 0) flags |= known[i].flag;
  }
  print_outcome(mount(c->words[1], c->words[2], c->words[3], flags, NULL));
  free(options);
}

static void umount_(const struct command *c) { print_outcome(umount2(c->words[1], MNT_DETACH)); }

static const struct { const char *name; int flag; } spaces[] = {
    {"mount", CLONE_NEWNS}, {"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET},
    {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}};

/* unshare KIND,KIND */
static void unshare_(const struct command *c) {
  int flags = 0;
  for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) if (strstr(c->words[1], spaces[i].name)) flags |= spaces[i].flag;
  print_outcome(unshare(flags));
}

static void setns_(const struct command *c) {
  int fd = open(c->words[1], O_RDONLY | O_CLOEXEC);
  print_outcome(fd < 0 ? fd : setns(fd, 0));
  if (fd >= 0) close(fd);
}

static void setuid_(const struct command *c) { print_outcome(setuid((uid_t)number(c->words[1]))); }
static void kill_(const struct command *c) { print_outcome(kill((pid_t)number(c->words[1]), (int)number(c->words[2]))); }
static void chroot_(const struct command *c) { print_outcome(chroot(c->words[1])); }

/* The well-known way out of a chroot: a new root below keeps the working directory outside of it. Ends at the real root. */
static void leave_chroot(const struct command *c) {
  (void)c;
  mkdir("/tmp/jail", 0755);
  if (chroot("/tmp/jail") < 0) {
    print_error(errno);
    return;
  }
  for (int i = 0; i < 64; i++) if (chdir("..") < 0) break;
  print_outcome(chroot("."));
}

static void print_result(long result) {
  if (result < 0 && result > -4096) print_error((int)-result);
  else printf("%ld", result);
}

static void arguments(const struct command *c, long *values) {
  for (int i = 0; i < 6; i++) {
    const char *word = i + 2 < c->count ? c->words[i + 2] : "0";
    values[i] = *word == '/' ? (long)word : number(word);
  }
}

/* syscall NUMBER ARGUMENT...: by number; an argument that begins with '/' is a path. Prints the result. */
static void syscall_(const struct command *c) {
  long a[6];
  arguments(c, a);
  long result = syscall(number(c->words[1]), a[0], a[1], a[2], a[3], a[4], a[5]);
  print_result(result < 0 ? -errno : result);
}

/* int80 NUMBER ARGUMENT...: by the gate for 32-bit programs, with the numbers of i386; texts are moved below 4 GiB. */
static void int80(const struct command *c) {
  long a[6];
  arguments(c, a);
  char *low = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  for (int i = 0; i < 2; i++) {
    if (i + 2 < c->count && *c->words[i + 2] == '/') a[i] = (long)strcpy(low + 512 * i, c->words[i + 2]);
  }
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number(c->words[1])), "b"(a[0]), "c"(a[1]), "d"(a[2]) : "memory", "r8", "r9", "r10", "r11");
  munmap(low, 4096);
  print_result((int32_t)result);
}

/* ptrace PID: attaches, and leaves again. */
static void ptrace_(const struct command *c) {
  pid_t pid = (pid_t)number(c->words[1]);
  long result = ptrace(PTRACE_SEIZE, pid, 0, 0);
  print_outcome(result);
  if (result < 0) return;
  ptrace(PTRACE_INTERRUPT, pid, 0, 0);
  waitpid(pid, NULL, __WALL);
  ptrace(PTRACE_DETACH, pid, 0, 0);
}

/* socket FAMILY TYPE PROTOCOL */
static void socket_(const struct command *c) {
  int fd = socket((int)number(c->words[1]), (int)number(c->words[2]) | SOCK_CLOEXEC, c->count > 3 ? (int)number(c->words[3]) : 0);
  print_outcome(fd);
  if (fd >= 0) close(fd);
}

/* bind PORT: on the loopback device. */
static void bind_(const struct command *c) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(c->words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  print_outcome(fd < 0 ? fd : bind(fd, (struct sockaddr *)&address, sizeof address));
  if (fd >= 0) close(fd);
}

/* vsock CONTEXT PORT: connects, says something and waits for an answer; prints "answered" or "closed" when that went so far. */
static void vsock(const struct command *c) {
  struct { sa_family_t family; uint16_t reserved; uint32_t port, context; uint8_t zero[4]; } address = {
      .family = 40, .port = (uint32_t)number(c->words[2]), .context = (uint32_t)number(c->words[1])};
  int fd = socket(40, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct timeval patience = {3, 0};
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
      connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    print_error(errno);
  } else {
    /* A ttrpc request for tskata.agent.v1.Agent/GuestDetails. */
    static const char request[] = "\0\0\0\x25\0\0\0\x01\x01\0\x0a\x15tskata.agent.v1.Agent\x12\x0cGuestDetails";
    char answer;
    ssize_t sent = send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
    ssize_t count = sent < 0 ? 0 : recv(fd, &answer, 1, 0);
    print_text(count > 0 ? "answered" : count == 0 || errno == ECONNRESET ? "closed" : "silence");
  }
  if (fd >= 0) close(fd);
}

/* allocate MIB: touches so much memory. */
static void allocate(const struct command *c) {
  size_t size = (size_t)number(c->words[1]) << 20;
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  print_outcome(memory == MAP_FAILED ? -1 : 0);
  if (memory != MAP_FAILED) munmap(memory, size);
}

/* children COUNT: starts so many that wait; prints how many it got. */
static void children(const struct command *c) {
  int count = 0, ends[2];
  if (pipe(ends) < 0) {
    print_error(errno);
    return;
  }
  for (; count < number(c->words[1]); count++) {
    pid_t pid = fork();
    if (pid < 0) break;
    if (pid > 0) continue;
    char byte;
    close(ends[1]);
    _exit(read(ends[0], &byte, 1) != 0);
  }
  close(ends[0]);
  close(ends[1]);
  for (int i = 0; i < count; i++) wait(NULL);
  printf("%d", count);
}

static void sleep_(const struct command *c) {
  struct timespec time = {0, number(c->words[1]) % 1000 * 1000000};
  time.tv_sec = number(c->words[1]) / 1000;
  nanosleep(&time, NULL);
  print_text("ok");
}

/* await FILE: until it is there. */
static void await(const struct command *c) {
  while (access(c->words[1], F_OK) < 0) usleep(10000);
  print_text("ok");
}

static volatile sig_atomic_t asked;
static void ask(int signal) { asked = signal; }

/* await-signal: until SIGTERM, SIGUSR1 or SIGHUP came; prints which. */
static void await_signal(const struct command *c) {
  (void)c;
  sigset_t none;
  sigemptyset(&none);
  for (int i = 0; i < 3; i++) sigaction((int[]){SIGTERM, SIGUSR1, SIGHUP}[i], &(struct sigaction){.sa_handler = ask}, NULL);
  while (!asked) usleep(10000);
  printf("%d", asked);
}

static void set_dumpable(const struct command *c) { print_outcome(prctl(PR_SET_DUMPABLE, number(c->words[1]), 0, 0, 0)); }

/* exchange ONE OTHER FILE: swaps two names over and over in a child, until FILE is there. */
static void exchange(const struct command *c) {
  pid_t pid = fork();
  if (pid == 0) {
    for (long i = 0; i % 1024 || access(c->words[3], F_OK) < 0; i++) {
      if (syscall(SYS_renameat2, AT_FDCWD, c->words[1], AT_FDCWD, c->words[2], 2) < 0) _exit(1);
    }
    _exit(0);
  }
  print_outcome(pid);
}

/* Whether a link of another process leads to what is the same for this one. */
static int same(const char *a, const char *b) {
  struct stat one, other;
  return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* spy FILE: until FILE is there looks at each process that comes by: does it let its program, root, descriptors or memory be
 * reached, while its program is another than this one? Prints what it could reach, and how many strangers it met. */
static void spy(const struct command *c) {
  char reached[8][64];
  int found = 0, met = 0, last = 0;
  while (access(c->words[1], F_OK) < 0) {
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
      int pid = atoi(entry->d_name);
      if (pid <= 1 || pid == getpid()) continue;
      static const char *const names[] = {"exe", "root/.", "cwd/.", "mem", "fd/0", "fd/1", "fd/2", "fd/3", "fd/4", "fd/5", "fd/6"};
      char path[64], link[4096];
      snprintf(path, sizeof path, "/proc/%d/exe", pid);
      if (readlink(path, link, sizeof link) > 0 && same(path, "/proc/self/exe")) continue;
      if (pid != last) met++;
      last = pid;
      for (size_t i = 0; i < sizeof names / sizeof *names && found < 8; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, names[i]);
        int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) continue;
        close(fd);
        char own[64];
        snprintf(own, sizeof own, "/proc/%d/exe", pid);
        /* It may have become a probe in the meantime. */
        if (!same(own, "/proc/self/exe") && access(own, F_OK) == 0) snprintf(reached[found++], 64, "%s", names[i]);
      }
    }
    if (directory) closedir(directory);
  }
  printf("{\"met\": %s, \"reached\": [", met > 0 ? "true" : "false");
  for (int i = 0; i < found; i++) printf("%s\"%s\"", i ? ", " : "", reached[i]);
  printf("]}");
}

/* keep NAME: adds a key to the session's keyring; prints "ok" (keyctl(2)). */
static void keep(const struct command *c) { print_outcome(syscall(SYS_add_key, "user", c->words[1], "x", 1, -3)); }
/* key NAME: looks for it in the session's keyring. */
static void key(const struct command *c) { print_outcome(syscall(SYS_keyctl, 10, -3, "user", c->words[1], 0)); }

const struct action tries[] = {
    {"fork", 2, fork_}, {"run", 3, run_}, {"open", 3, open_}, {"write", 3, write_}, {"create", 3, create}, {"mkdir", 2, mkdir_},
    {"unlink", 2, unlink_}, {"chmod", 3, chmod_}, {"chown", 4, chown_}, {"symlink", 3, symlink_}, {"link", 3, link_},
    {"chdir", 2, chdir_}, {"umask", 2, umask_}, {"mknod", 5, mknod_}, {"mount", 4, mount_}, {"umount", 2, umount_},
    {"unshare", 2, unshare_}, {"setns", 2, setns_}, {"setuid", 2, setuid_}, {"kill", 3, kill_}, {"chroot", 2, chroot_},
    {"leave-chroot", 1, leave_chroot}, {"syscall", 2, syscall_}, {"int80", 2, int80}, {"ptrace", 2, ptrace_},
    {"socket", 3, socket_}, {"bind", 2, bind_}, {"vsock", 3, vsock}, {"allocate", 2, allocate}, {"children", 2, children},
    {"sleep", 2, sleep_}, {"await", 2, await}, {"await-signal", 1, await_signal}, {"set-dumpable", 2, set_dumpable},
    {"exchange", 4, exchange}, {"spy", 2, spy}, {"keep", 2, keep}, {"key", 2, key}, {0}};
