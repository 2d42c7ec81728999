/* What a process can see of itself and around itself. Nothing here changes anything. */
#include "probe.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void print_list(char **list, int count) {
  for (int i = 0; i < count; i++) {
    printf(i == 0 ? "[" : ", ");
    print_text(list[i]);
  }
  printf(count == 0 ? "[]" : "]");
}

static void args(const struct command *c) {
  (void)c;
  print_list(program_argv, program_argc);
}

static void env(const struct command *c) {
  (void)c;
  int count = 0;
  while (environ[count]) count++;
  print_list(environ, count);
}

static void cwd(const struct command *c) {
  (void)c;
  char path[4096];
  if (syscall(SYS_getcwd, path, sizeof path) < 0) print_error(errno);
  else print_text(path);
}

static void ids(const struct command *c) {
  (void)c;
  uid_t r, e, s;
  gid_t rg, eg, sg, groups[64];
  getresuid(&r, &e, &s);
  getresgid(&rg, &eg, &sg);
  int count = getgroups(64, groups);
  mode_t mask = umask(0);
  umask(mask);
  printf("{\"uid\": [%u, %u, %u], \"gid\": [%u, %u, %u], \"umask\": \"%04o\", \"groups\": [", r, e, s, rg, eg, sg, mask);
  for (int i = 0; i < count; i++) printf("%s%u", i ? ", " : "", groups[i]);
  printf("]}");
}

static const char *const capabilities[] = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ",
    "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"};
enum { CAPABILITIES = sizeof capabilities / sizeof *capabilities };

static void print_set(const char *name, uint64_t set, const char *end) {
  printf("\"%s\": [", name);
  const char *separator = "";
  for (int i = 0; i < 64; i++) {
    if (!(set >> i & 1)) continue;
    printf("%s", separator);
    if (i < CAPABILITIES) print_text(capabilities[i]);
    else printf("%d", i);
    separator = ", ";
  }
  printf("]%s", end);
}

/* By the system calls, not by /proc, which a container may lack: capget(2), prctl(2). */
static void caps(const struct command *c) {
  (void)c;
  struct { uint32_t version; int pid; } header = {0x20080522, 0};
  struct { uint32_t effective, permitted, inheritable; } data[2];
  if (syscall(SYS_capget, &header, data) < 0) {
    print_error(errno);
    return;
  }
  uint64_t bounding = 0, ambient = 0;
  for (int i = 0; i < 64; i++) {
    bounding |= (uint64_t)(prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) << i;
    ambient |= (uint64_t)(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) << i;
  }
  printf("{");
  print_set("bounding", bounding, ", ");
  print_set("effective", data[0].effective | (uint64_t)data[1].effective << 32, ", ");
  print_set("inheritable", data[0].inheritable | (uint64_t)data[1].inheritable << 32, ", ");
  print_set("permitted", data[0].permitted | (uint64_t)data[1].permitted << 32, ", ");
  print_set("ambient", ambient, "}");
}

static void no_new_privs(const struct command *c) {
  (void)c;
  printf("%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

/* A field of /proc/self/status. */
static void status(const struct command *c) {
  char *text, *line;
  if (read_file("/proc/self/status", &text) < 0) {
    print_error(errno);
    return;
  }
  size_t length = strlen(c->words[1]);
  while ((line = strsep(&text, "\n"))) {
    if (strncmp(line, c->words[1], length) != 0 || line[length] != ':') continue;
    line += length + 1;
    print_text(line + strspn(line, " \t"));
    return;
  }
  print_error(ENOENT);
}

static void limits(const struct command *c) {
  (void)c;
  static const char *const names[] = {"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS",
                                      "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"};
  for (int i = 0; i < RLIM_NLIMITS; i++) {
    struct rlimit limit;
    getrlimit(i, &limit);
    /* As strings: JSON's numbers are not exact so far up, and no limit is the largest of them. */
    printf("%s\"RLIMIT_%s\": [\"%llu\", \"%llu\"]", i ? ", " : "{", names[i], (unsigned long long)limit.rlim_cur,
           (unsigned long long)limit.rlim_max);
  }
  printf("}");
}

static void scheduler(const struct command *c) {
  (void)c;
  struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; } a = {0};
  if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) < 0) {
    print_error(errno);
    return;
  }
  printf("{\"policy\": %u, \"flags\": %llu, \"nice\": %d, \"priority\": %u, \"runtime\": %llu, \"deadline\": %llu, \"period\": %llu}",
         a.policy, (unsigned long long)a.flags, a.nice, a.priority, (unsigned long long)a.runtime,
         (unsigned long long)a.deadline, (unsigned long long)a.period);
}

/* Class and priority: ioprio_get(2). */
static void ioprio(const struct command *c) {
  (void)c;
  long value = syscall(SYS_ioprio_get, 1, 0);
  if (value < 0) print_error(errno);
  else printf("[%ld, %ld]", value >> 13, value & 0x1fff);
}

static void domain(const struct command *c) {
  (void)c;
  printf("%d", personality(0xffffffff));
}

static void affinity(const struct command *c) {
  (void)c;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) < 0) {
    print_error(errno);
    return;
  }
  const char *separator = "";
  printf("[");
  for (int i = 0; i < CPU_SETSIZE; i++) {
    if (!CPU_ISSET(i, &set)) continue;
    printf("%s%d", separator, i);
    separator = ", ";
  }
  printf("]");
}

static void print_link(const char *path) {
  char target[4096];
  ssize_t length = readlink(path, target, sizeof target);
  if (length < 0) print_error(errno);
  else print_string(target, (size_t)length);
}

static void namespaces(const struct command *c) {
  static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
  const char *pid = c->count > 1 ? c->words[1] : "self";
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kinds[i]);
    printf("%s\"%s\": ", i ? ", " : "{", kinds[i]);
    print_link(path);
  }
  printf("}");
}

static void names(const struct command *c) {
  (void)c;
  struct utsname name;
  uname(&name);
  printf("{\"hostname\": ");
  print_text(name.nodename);
  printf(", \"domainname\": ");
  print_text(name.domainname);
  printf("}");
}

static void read_(const struct command *c) {
  char *text;
  ssize_t length = read_file(c->words[1], &text);
  if (length < 0) print_error(errno);
  else print_string(text, (size_t)length);
}

static void stat_(const struct command *c) {
  struct stat s;
  if (fstatat(AT_FDCWD, c->words[1], &s, AT_SYMLINK_NOFOLLOW) < 0) {
    print_error(errno);
    return;
  }
  const char *type = S_ISREG(s.st_mode) ? "file" : S_ISDIR(s.st_mode) ? "directory" : S_ISLNK(s.st_mode) ? "link"
                   : S_ISCHR(s.st_mode) ? "character" : S_ISBLK(s.st_mode) ? "block" : S_ISFIFO(s.st_mode) ? "fifo" : "socket";
  printf("{\"type\": \"%s\", \"mode\": \"%04o\", \"uid\": %u, \"gid\": %u, \"device\": \"%u:%u\", \"size\": %lld, \"links\": %u, \"inode\": %llu}",
         type, s.st_mode & 07777, s.st_uid, s.st_gid, major(s.st_rdev), minor(s.st_rdev), (long long)s.st_size,
         (unsigned)s.st_nlink, (unsigned long long)s.st_ino);
}

static void readlink_(const struct command *c) { print_link(c->words[1]); }

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void ls(const struct command *c) {
  DIR *directory = opendir(c->words[1]);
  if (!directory) {
    print_error(errno);
    return;
  }
  char *found[4096];
  int count = 0;
  errno = 0;
  for (struct dirent *entry; count < 4096 && (entry = readdir(directory));) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) found[count++] = strdup(entry->d_name);
  }
  closedir(directory);
  qsort(found, (size_t)count, sizeof *found, by_name);
  print_list(found, count);
}

static void print_words(char *text, const char *separators) {
  char *words[64];
  int count = 0;
  for (char *word = strtok(text, separators); word && count < 64; word = strtok(NULL, separators)) words[count++] = word;
  qsort(words, (size_t)count, sizeof *words, by_name);
  print_list(words, count);
}

/* The uppermost mount at a path, with its lists sorted: proc_pid_mountinfo(5). */
static void mountinfo(const struct command *c) {
  char *text, *line, found[4096] = "";
  if (read_file("/proc/self/mountinfo", &text) < 0) {
    print_error(errno);
    return;
  }
  while ((line = strsep(&text, "\n"))) {
    char point[2048];
    if (sscanf(line, "%*s %*s %*s %*s %2047s", point) == 1 && strcmp(point, c->words[1]) == 0) {
      snprintf(found, sizeof found, "%s", line);
    }
  }
  char root[1024], options[1024], type[64], source[1024], super[1024] = "";
  char *second = strstr(found, " - ");
  if (!second) {
    printf("null");
    return;
  }
  *second = 0;
  sscanf(found, "%*s %*s %*s %1023s %*s %1023s", root, options);
  sscanf(second + 3, "%63s %1023s %1023s", type, source, super);
  printf("{\"type\": \"%s\", \"root\": ", type);
  print_text(root);
  printf(", \"source\": ");
  print_text(source);
  printf(", \"options\": ");
  print_words(options, ",");
  printf(", \"super\": ");
  print_words(super, ",");
  printf(", \"propagation\": [");
  const char *separator = "";
  static const char *const kinds[] = {"shared", "master", "unbindable"};
  for (int i = 0; i < 3; i++) {
    char field[16];
    snprintf(field, sizeof field, " %s", kinds[i]);
    if (!strstr(found, field)) continue;
    printf("%s\"%s\"", separator, kinds[i]);
    separator = ", ";
  }
  printf("]}");
}

/* All mount points, in the order of the table. */
static void mounts(const struct command *c) {
  (void)c;
  char *text, *line;
  if (read_file("/proc/self/mountinfo", &text) < 0) {
    print_error(errno);
    return;
  }
  const char *separator = "[";
  while ((line = strsep(&text, "\n"))) {
    char point[2048];
    if (sscanf(line, "%*s %*s %*s %*s %2047s", point) != 1) continue;
    printf("%s", separator);
    print_text(point);
    separator = ", ";
  }
  printf("]");
}

/* Open descriptors, but not the one that lists them. */
static void descriptors(const struct command *c) {
  (void)c;
  DIR *directory = opendir("/proc/self/fd");
  if (!directory) {
    print_error(errno);
    return;
  }
  const char *separator = "";
  printf("{");
  for (struct dirent *entry; (entry = readdir(directory));) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == dirfd(directory)) continue;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    printf("%s\"%d\": ", separator, fd);
    print_link(path);
    separator = ", ";
  }
  printf("}");
  closedir(directory);
}

static void process(const struct command *c) {
  (void)c;
  printf("{\"pid\": %d, \"parent\": %d, \"group\": %d, \"session\": %d}", getpid(), getppid(), getpgid(0), getsid(0));
}

static void tty(const struct command *c) {
  (void)c;
  struct winsize size = {0};
  ioctl(0, TIOCGWINSZ, &size);
  char *name = ttyname(0);
  int controlling = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  printf("{\"streams\": [%d, %d, %d], \"name\": ", isatty(0), isatty(1), isatty(2));
  print_text(name ? name : "");
  printf(", \"rows\": %d, \"columns\": %d, \"controlling\": %s}", size.ws_row, size.ws_col, controlling < 0 ? "false" : "true");
  if (controlling >= 0) close(controlling);
}

static void input(const struct command *c) {
  (void)c;
  static char text[65536];
  ssize_t count;
  size_t length = 0;
  while (length < sizeof text && (count = read(0, text + length, sizeof text - length)) > 0) length += (size_t)count;
  print_string(text, length);
}

/* A clock's seconds: the names of clock_gettime(2). */
static void seconds(const struct command *c) {
  struct timespec time;
  clock_gettime(strcmp(c->words[1], "BOOTTIME") == 0 ? CLOCK_BOOTTIME : CLOCK_MONOTONIC, &time);
  printf("%lld", (long long)time.tv_sec);
}

const struct action looks[] = {
    {"args", 1, args}, {"env", 1, env}, {"cwd", 1, cwd}, {"ids", 1, ids}, {"caps", 1, caps},
    {"no-new-privs", 1, no_new_privs}, {"status", 2, status}, {"limits", 1, limits}, {"scheduler", 1, scheduler},
    {"ioprio", 1, ioprio}, {"personality", 1, domain}, {"affinity", 1, affinity}, {"namespaces", 1, namespaces},
    {"names", 1, names}, {"read", 2, read_}, {"stat", 2, stat_}, {"readlink", 2, readlink_}, {"ls", 2, ls},
    {"mountinfo", 2, mountinfo}, {"mounts", 1, mounts}, {"descriptors", 1, descriptors}, {"process", 1, process},
    {"tty", 1, tty}, {"input", 1, input}, {"seconds", 2, seconds}, {0}};
