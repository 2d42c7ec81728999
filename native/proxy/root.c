#define _GNU_SOURCE
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Makes `source` visible at the open `target`: what a mount hides at the place of that cannot change in between. */
static void bind(const char *source, int target, bool recursive, bool read_only) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U);
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, source, flags);
  if (tree < 0) fail(errno, "cannot bind", source);
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  if (read_only && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
    fail(errno, "cannot make read-only", source);
  if (syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    fail(errno, "cannot mount", source);
  close(tree);
}

static int open_folder(const char *path) {
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(errno, "cannot open", path);
  return fd;
}

/*
 * The container writes in its root, so a path in there is resolved as the container would: no link leads out of it. A
 * place that is not there is one below something that is mounted in the guest only: nobody outside can see it either.
 */
static void bind_volume(int root, const struct volume *volume) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  int target = (int)syscall(SYS_openat2, root, volume->target, &how, sizeof how);
  if (target < 0) return;
  bind(volume->source, target, volume->recursive, volume->read_only);
  close(target);
}

/* pivot_root(2), "pivot_root(".", ".")": the old root is on top of the new one, and goes. */
static bool pivot(void) { return syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0; }

/* A root that the kernel unpacked from an initramfs cannot be exchanged, but covered. */
static bool cover(void) { return mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0; }

void enter_root(const struct root_request *request) {
  if (request->path == NULL) return;
  if (unshare(CLONE_NEWNS) < 0) fail(errno, "cannot make a mount namespace for", request->path);
  /* What is unmounted on the host is unmounted here as well; nothing goes the other way. */
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) fail(errno, "cannot detach from the host's", "mounts");
  int below = open_folder(request->path);
  bind(request->path, below, true, request->read_only);
  close(below);
  int root = open_folder(request->path);
  for (size_t index = 0; index < request->count; index++) bind_volume(root, &request->volumes[index]);
  if (fchdir(root) < 0) fail(errno, "cannot enter", request->path);
  close(root);
  if (!pivot() && !cover()) fail(errno, "cannot make the root", request->path);
  if (chdir("/") < 0) fail(errno, "cannot enter", "/");
}
