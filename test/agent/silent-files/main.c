// A server of files that does not answer: silent-files DIRECTORY mounts itself there, says "ready", and stays until it is killed.
// "file" can be opened. Nobody who reads it, or looks for another name, is answered: the server says "asked" instead.
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096UL
#define FILE_NODE 2
#define FILE_BYTES (16 * PAGE)
#define VALID_SECONDS 3600

static int fail(const char *what) {
  perror(what);
  return 1;
}

static void say(const char *what) {
  puts(what);
  fflush(stdout);
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr attr = {.ino = node, .nlink = 1, .mode = S_IFDIR | 0755};
  if (node != FILE_NODE) return attr;
  attr.mode = S_IFREG | 0644;
  attr.size = FILE_BYTES;
  return attr;
}

static int answer(int device, uint64_t unique, int error, const void *body, size_t length) {
  char bytes[1024];
  struct fuse_out_header header = {.len = sizeof(header) + length, .error = error, .unique = unique};
  memcpy(bytes, &header, sizeof(header));
  if (length > 0) memcpy(bytes + sizeof(header), body, length);
  return write(device, bytes, header.len) < 0 ? fail("answer") : 0;
}

static void take(int device, const struct fuse_in_header *request) {
  const char *name = (const char *)(request + 1);
  struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = PAGE};
  struct fuse_attr_out attr = {.attr_valid = VALID_SECONDS, .attr = attributes(request->nodeid)};
  struct fuse_entry_out entry = {.nodeid = FILE_NODE, .entry_valid = VALID_SECONDS, .attr_valid = VALID_SECONDS};
  struct fuse_open_out opened = {0};
  entry.attr = attributes(FILE_NODE);
  switch (request->opcode) {
    case FUSE_INIT:
      answer(device, request->unique, 0, &init, sizeof(init));
      break;
    case FUSE_GETATTR:
      answer(device, request->unique, 0, &attr, sizeof(attr));
      break;
    case FUSE_LOOKUP:
      if (strcmp(name, "file") == 0) answer(device, request->unique, 0, &entry, sizeof(entry));
      else say("asked");
      break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
      answer(device, request->unique, 0, &opened, sizeof(opened));
      break;
    case FUSE_READ:
      say("asked");
      break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      // Nobody waits for an answer to these.
      break;
    default:
      answer(device, request->unique, -ENOSYS, NULL, 0);
      break;
  }
}

static int serve(const char *directory) {
  static char buffer[FUSE_MIN_READ_BUFFER + PAGE] __attribute__((aligned(8)));
  char options[64];
  int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) return fail("/dev/fuse");
  snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
  if (mount("silent", directory, "fuse", MS_NOSUID | MS_NODEV, options) != 0) return fail(directory);
  say("ready");
  while (read(device, buffer, sizeof(buffer)) > 0) take(device, (const struct fuse_in_header *)buffer);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2) return serve(argv[1]);
  fputs("usage: silent-files DIRECTORY\n", stderr);
  return 2;
}
