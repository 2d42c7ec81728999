"""Folders of the host on virtio-fs, from inside a guest."""
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import subprocess
import time

from checks import check, fails, run, say

DATA, SECOND, READ_ONLY = "/mnt/data", "/mnt/second", "/mnt/readonly"
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
libc = ctypes.CDLL(None, use_errno=True)

for tag in ("data", "second", "readonly"):
    os.mkdir(f"/mnt/{tag}")
    subprocess.run(["mount", "-t", "virtiofs", tag, f"/mnt/{tag}"], check=True)


def rename2(old, new, flags):
    at_cwd = -100
    if libc.renameat2(at_cwd, old.encode(), at_cwd, new.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def folder(name):
    path = f"{DATA}/{name}"
    os.mkdir(path)
    return path


def in_child(function):
    """The result of a function in another process; an exception's errno counts as one."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            result = function()
        except OSError as error:
            result = error.errno
        os.write(writer, str(result).encode())
        os._exit(0)
    os.close(writer)
    result = os.read(reader, 100).decode()
    os.waitpid(pid, 0)
    os.close(reader)
    return result


@check("renames over a file, exchanging two, not replacing, of folders, of what is open")
def _():
    at = folder("rename")
    for name in "abc":
        write(f"{at}/{name}", name.encode())
    opened = open(f"{at}/b", "rb")
    os.rename(f"{at}/a", f"{at}/b")
    assert read(f"{at}/b") == b"a" and opened.read() == b"b"
    opened.close()
    rename2(f"{at}/b", f"{at}/c", RENAME_EXCHANGE)
    assert (read(f"{at}/b"), read(f"{at}/c")) == (b"c", b"a")
    fails((errno.EEXIST,), rename2, f"{at}/b", f"{at}/c", RENAME_NOREPLACE)
    rename2(f"{at}/b", f"{at}/d", RENAME_NOREPLACE)
    os.makedirs(f"{at}/one/two")
    fails((errno.EINVAL,), os.rename, f"{at}/one", f"{at}/one/two/three")
    os.rename(f"{at}/one", f"{at}/uno")
    fails((errno.ENOTEMPTY, errno.EEXIST), os.rename, at, f"{DATA}/full")
    fails((errno.EXDEV,), os.rename, f"{at}/d", f"{SECOND}/d")
    assert sorted(os.listdir(at)) == ["c", "d", "uno"]


@check("a file that is unlinked while it is open lives on")
def _():
    path = f"{DATA}/unlinked"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, b"before")
    os.unlink(path)
    assert not os.path.exists(path)
    os.write(fd, b" after")
    assert os.pread(fd, 100, 0) == b"before after"
    assert os.fstat(fd).st_nlink == 0
    os.ftruncate(fd, 6)
    assert os.fstat(fd).st_size == 6
    os.close(fd)


@check("shared mappings are written and read back")
def _():
    path = f"{DATA}/mapped"
    write(path, bytes(64 * 1024))
    with open(path, "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 64 * 1024)
        mapped[5000:5005] = b"first"
        mapped[60000:60006] = b"second"
        mapped.flush()
        assert os.pread(file.fileno(), 5, 5000) == b"first"
        os.pwrite(file.fileno(), b"third", 30000)
        assert mapped[30000:30005] == b"third"
        mapped.close()
    assert read(path)[60000:60006] == b"second"
    # A program that runs from the share is a private mapping.
    write(f"{DATA}/true", read("/bin/true"))
    os.chmod(f"{DATA}/true", 0o755)
    subprocess.run([f"{DATA}/true"], check=True)


@check("extended attributes and ACLs")
def _():
    path = f"{DATA}/attributes"
    write(path, b"")
    os.setxattr(path, "user.color", b"blue")
    os.setxattr(path, "user.empty", b"")
    assert os.getxattr(path, "user.color") == b"blue"
    fails((errno.EEXIST,), os.setxattr, path, "user.color", b"x", os.XATTR_CREATE)
    fails((errno.ENODATA,), os.setxattr, path, "user.none", b"x", os.XATTR_REPLACE)
    assert sorted(os.listxattr(path)) == ["user.color", "user.empty"]
    os.removexattr(path, "user.empty")
    fails((errno.ENODATA,), os.getxattr, path, "user.empty")


@check("POSIX locks exclude other processes, range by range")
def _():
    path = f"{DATA}/posix-lock"
    write(path, bytes(100))

    def attempt(start, length, kind=fcntl.LOCK_EX):
        with open(path, "r+b") as file:
            fcntl.lockf(file, kind | fcntl.LOCK_NB, length, start)
            return "locked"

    with open(path, "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 10, 0)
        fcntl.lockf(file, fcntl.LOCK_SH, 10, 50)
        assert in_child(lambda: attempt(5, 1)) in (str(errno.EAGAIN), str(errno.EACCES))
        assert in_child(lambda: attempt(20, 5)) == "locked"
        assert in_child(lambda: attempt(50, 5)) in (str(errno.EAGAIN), str(errno.EACCES))
        # Closing any of its descriptors takes a process's locks away.
        open(path, "rb").close()
        assert in_child(lambda: attempt(0, 100)) == "locked"


@check("flock excludes other open files")
def _():
    path = f"{DATA}/flock"
    write(path, b"")
    with open(path) as first, open(path) as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        fails((errno.EAGAIN,), fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(first, fcntl.LOCK_SH)
        fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(first, fcntl.LOCK_UN)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


@check("a folder of 10000 entries is listed whole, by pieces and while it changes")
def _():
    large = f"{DATA}/large"
    names = os.listdir(large)
    assert len(names) == 10_000 and len(set(names)) == 10_000
    assert sorted(names) == [f"entry-{index:05}" for index in range(10_000)]
    seen = set()
    with os.scandir(large) as entries:
        for position, entry in enumerate(entries):
            seen.add(entry.name)
            if position % 100 == 0 and entry.name != "entry-00001":
                os.unlink(entry.path)
                seen.discard(entry.name)
    assert seen == set(os.listdir(large)), len(seen)
    assert len(seen) in (9900, 9901), len(seen)


@check("hard and symbolic links")
def _():
    at = folder("links")
    write(f"{at}/file", b"linked")
    os.link(f"{at}/file", f"{at}/hard")
    assert os.stat(f"{at}/hard").st_ino == os.stat(f"{at}/file").st_ino
    assert os.stat(f"{at}/file").st_nlink == 2
    os.unlink(f"{at}/file")
    assert read(f"{at}/hard") == b"linked" and os.stat(f"{at}/hard").st_nlink == 1
    os.symlink("hard", f"{at}/relative")
    os.symlink("/nowhere/at/all", f"{at}/dangling")
    os.symlink("loop", f"{at}/loop")
    assert read(f"{at}/relative") == b"linked"
    assert os.readlink(f"{at}/dangling") == "/nowhere/at/all"
    fails((errno.ENOENT,), os.stat, f"{at}/dangling")
    fails((errno.ELOOP,), os.stat, f"{at}/loop")
    # The host's own link to outside of the share leads to the guest's file of that name.
    assert read(f"{DATA}/to-etc-hostname") == read("/etc/hostname")


@check("sparse files, truncation and space")
def _():
    path = f"{DATA}/sparse"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"end", 64 << 20)
    os.fsync(fd)
    assert os.fstat(fd).st_size == (64 << 20) + 3
    assert os.fstat(fd).st_blocks < 1024
    assert os.pread(fd, 10, 1 << 20) == bytes(10)
    assert os.lseek(fd, 0, os.SEEK_DATA) >= (64 << 20) - (1 << 20)
    os.ftruncate(fd, 10)
    assert os.pread(fd, 100, 0) == bytes(10)
    os.posix_fallocate(fd, 0, 1 << 20)
    assert os.fstat(fd).st_blocks * 512 >= 1 << 20
    os.close(fd)


@check("appends of the host and of two guest processes lose nothing")
def _():
    path = f"{DATA}/appended"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)

    def append(name):
        for index in range(150):
            os.write(fd, f"{name} {index:03}\n".encode())
        return "done"

    say("READY for the host to append")
    while not os.path.exists(f"{DATA}/host-appends"):
        time.sleep(0.02)
    pid = os.fork()
    append("child" if pid == 0 else "parent")
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(fd)
    for _ in range(600):
        if os.path.exists(f"{DATA}/host-has-appended"):
            break
        time.sleep(0.05)
    lines = open(path).read().splitlines()
    for name in ("child", "parent", "host"):
        own = [line for line in lines if line.startswith(name)]
        assert own == [f"{name} {index:03}" for index in range(150)], (name, len(own))
    assert len(lines) == 450, len(lines)


@check("changes of the host are seen")
def _():
    # The attributes are kept for a second.
    write(f"{DATA}/ask-host", b"")
    for _ in range(600):
        if os.path.exists(f"{DATA}/answer") and read(f"{DATA}/answer") == b"new and longer":
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the answer never came")


@check("modes, owners, times, special files")
def _():
    at = folder("nodes")
    path = f"{at}/file"
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    os.close(fd)
    fails((errno.EEXIST,), os.open, path, os.O_CREAT | os.O_EXCL)
    os.chown(path, 1000, 1001)
    os.chmod(path, 0o4755)
    os.utime(path, ns=(1_000_000_001, 2_000_000_002))
    found = os.stat(path)
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1000, 1001, 0o4755)
    assert (found.st_atime_ns, found.st_mtime_ns) == (1_000_000_001, 2_000_000_002)
    os.mkfifo(f"{at}/fifo")
    os.mknod(f"{at}/device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    assert stat.S_ISFIFO(os.stat(f"{at}/fifo").st_mode)
    assert os.stat(f"{at}/device").st_rdev == os.makedev(1, 3)
    name = "n" * 255
    write(f"{at}/{name}", b"long")
    assert read(f"{at}/{name}") == b"long"
    fails((errno.ENAMETOOLONG,), open, f"{at}/{name}n", "w")
    write(f"{at}/\u00fcml\u00e4ut \U0001f427\n", b"")
    assert "\u00fcml\u00e4ut \U0001f427\n" in os.listdir(at)


@check("statfs tells the sizes of the host's file system")
def _():
    found = os.statvfs(DATA)
    assert found.f_blocks * found.f_frsize > 1 << 20 and 0 < found.f_bavail <= found.f_blocks
    assert found.f_namemax == 255


@check("a large file is written and read whole")
def _():
    path = f"{DATA}/large-file"
    block = bytes(range(256)) * 4096
    with open(path, "wb") as file:
        for index in range(16):
            file.write(bytes([index]) + block[1:])
        os.fsync(file.fileno())
    with open(path, "rb") as file:
        for index in range(16):
            assert file.read(len(block)) == bytes([index]) + block[1:], index
        assert file.read(1) == b""


@check("a share that is read-only can be read, and changes in no way")
def _():
    assert read(f"{READ_ONLY}/file") == b"from the host"
    refused = (errno.EROFS, errno.EACCES, errno.EPERM)
    fails(refused, os.open, f"{READ_ONLY}/file", os.O_WRONLY)
    fails(refused, os.open, f"{READ_ONLY}/new", os.O_CREAT | os.O_WRONLY)
    fails(refused, os.unlink, f"{READ_ONLY}/file")
    fails(refused, os.mkdir, f"{READ_ONLY}/folder")
    fails(refused, os.rename, f"{READ_ONLY}/file", f"{READ_ONLY}/other")
    fails(refused, os.chmod, f"{READ_ONLY}/file", 0o777)
    fails(refused, os.truncate, f"{READ_ONLY}/file", 0)
    fails(refused, os.setxattr, f"{READ_ONLY}/file", "user.x", b"x")


@check("shares are apart")
def _():
    write(f"{SECOND}/only-here", b"second")
    assert not os.path.exists(f"{DATA}/only-here")
    assert os.stat(DATA).st_dev != os.stat(SECOND).st_dev
    assert os.path.realpath(f"{SECOND}/../..") == "/"


run()
